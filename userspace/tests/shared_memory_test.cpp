// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/shared_memory.h>

#include <cerrno>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "server_with_driver.h"
#include "shared_place.h"
#include "support/fake_driver.h"
#include "support/memfd.h"
#include "support/temporary_directory.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::Memfd;
using testing::HasSubstr;

TEST(SharedMemory, IsWhatOthersSeeInTheFile) {
    const Memfd file{65536};
    const auto memory = SharedMemory::map(file.path());
    ASSERT_TRUE(memory) << memory.error().message();
    EXPECT_EQ(memory->size(), 65536U);
    EXPECT_EQ(memory->use(), SharedFor::reads_and_writes);
    memory->data()[65535] = std::byte{7};
    EXPECT_EQ(file.data()[65535], std::byte{7});
}

TEST(SharedMemory, HasNothingBehindItsEnd) {
    const Memfd file{65536};
    const auto memory = SharedMemory::map(file.path());
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->at(0, 65536), memory->data());
    EXPECT_EQ(memory->at(65536 - 512, 512), memory->data() + 65536 - 512);
    EXPECT_EQ(memory->at(65536 - 512, 513), nullptr);
    EXPECT_EQ(memory->at(65536, 1), nullptr);
    EXPECT_EQ(memory->at(UINT64_MAX, 2), nullptr);
    EXPECT_EQ(memory->at(4096, UINT64_MAX), nullptr);
}

TEST(SharedMemory, CannotBeMadeShorterIfItTakesSeals) {
    const Memfd file{65536, MFD_ALLOW_SEALING};
    const auto memory = SharedMemory::map(file.path());
    ASSERT_TRUE(memory);
    EXPECT_NE(::ftruncate(file.fd(), 4096), 0);
    EXPECT_EQ(::ftruncate(file.fd(), 131072), 0);
}

TEST(SharedMemory, FileThatCannotBeWrittenServesWritesToTheDisk) {
    const UniqueFd fd{::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    ASSERT_EQ(::ftruncate(fd.get(), 65536), 0);
    ASSERT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
    const auto memory = SharedMemory::map("/proc/self/fd/" + std::to_string(fd.get()));
    ASSERT_TRUE(memory) << memory.error().message();
    EXPECT_EQ(memory->use(), SharedFor::writes);
    EXPECT_EQ(memory->data()[0], std::byte{0});
}

TEST(SharedMemory, MustBeWholePagesInMemory) {
    const Memfd odd{65536 + 512};
    const auto refused = SharedMemory::map(odd.path());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    const UniqueFd empty{::memfd_create("test", MFD_CLOEXEC)};
    EXPECT_FALSE(SharedMemory::map("/proc/self/fd/" + std::to_string(empty.get())));
    const UniqueFd huge{::memfd_create("test", MFD_CLOEXEC)};
    ASSERT_EQ(::ftruncate(huge.get(), (std::int64_t{4} << 30) + 4096), 0);
    EXPECT_THAT(SharedMemory::map("/proc/self/fd/" + std::to_string(huge.get())).error().hint,
                HasSubstr("4G"));
}

TEST(SharedMemory, OnADiskOrNowhereItIsRefused) {
    const auto missing = SharedMemory::map("/nonexistent/file");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ENOENT);
    EXPECT_FALSE(missing.error().hint.empty());
    // No file system that a disk or the kernel's own data are behind will do.
    const auto unfit = SharedMemory::map("/proc/self/status");
    ASSERT_FALSE(unfit);
    EXPECT_EQ(unfit.error().kind, ErrorKind::usage);
    EXPECT_THAT(unfit.error().hint, HasSubstr("/dev/shm"));
}

TEST(SharedPlace, FindsWhatTheDriverNames) {
    const Memfd file{65536};
    SharedPlace place{std::make_shared<SharedMemory>(*SharedMemory::map(file.path()))};
    place.is_registered_as(3);
    EXPECT_EQ(place.find(3, 512, 4096), place.memory()->data() + 512);
    EXPECT_EQ(place.find(2, 512, 4096), nullptr);
    EXPECT_EQ(place.find(3, 65536 - 512, 4096), nullptr);
}

TEST(SharedPlace, WithoutMemoryOrRegistrationThereIsNothing) {
    EXPECT_EQ(SharedPlace{nullptr}.find(0, 0, 512), nullptr);
    const Memfd file{65536};
    SharedPlace place{std::make_shared<SharedMemory>(*SharedMemory::map(file.path()))};
    place.is_not_registered();
    EXPECT_EQ(place.find(0, 0, 512), nullptr);
}

class SharingServer : public testing::Test {
protected:
    std::shared_ptr<test::FakeDriver> driver_ = std::make_shared<test::FakeDriver>();
    const Memfd file_{65536};

    void SetUp() override { driver_->available_features = UBLK_F_SHMEM_ZC; }
    std::shared_ptr<const SharedMemory> map() const {
        return std::make_shared<SharedMemory>(*SharedMemory::map(file_.path()));
    }
    static std::unique_ptr<Target> target() {
        return std::make_unique<test::TestTarget<Async<Answer> (*)(Ring, Request)>>(&test::succeed);
    }
};

TEST_F(SharingServer, RegistersTheMemoryAndUnregistersItAtTheEnd) {
    const auto memory = map();
    {
        auto server = start_with_driver(driver_, target(), {.shared_memory = memory});
        ASSERT_TRUE(server) << server.error().message();
        EXPECT_EQ(server->copy().mode, CopyMode::shmem);
        ASSERT_EQ(driver_->registered_memory().size(), 1U);
        const ublk_shmem_buf_reg& buffer = driver_->registered_memory().at(0);
        EXPECT_EQ(buffer.addr, reinterpret_cast<std::uintptr_t>(memory->data()));
        EXPECT_EQ(buffer.len, 65536U);
        EXPECT_EQ(buffer.flags, 0U);
        EXPECT_EQ(driver_->params().dma.alignment, 511);
    }
    EXPECT_TRUE(driver_->registered_memory().empty());
}

TEST_F(SharingServer, ServesRequestsInTheMemoryAndOthers) {
    auto server = start_with_driver(driver_, target(), {.depth = 2, .shared_memory = map()});
    ASSERT_TRUE(server);
    driver_->issue(0, 0, {.op = UBLK_IO_OP_READ, .sectors = 8, .shared_address = 4096});
    EXPECT_EQ(driver_->wait_for_result(0, 0), 4096);
    driver_->issue(0, 1, {.op = UBLK_IO_OP_READ, .sectors = 8});
    EXPECT_EQ(driver_->wait_for_result(0, 1), 4096);
}

TEST_F(SharingServer, MemoryThatTheDriverRefusesLeavesNoDevice) {
    driver_->fail_control(UBLK_U_CMD_REG_BUF, -ENOMEM);
    const auto server = start_with_driver(driver_, target(), {.shared_memory = map()});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, ENOMEM);
    EXPECT_THAT(server.error().hint, HasSubstr("locked memory"));
    EXPECT_FALSE(driver_->device_exists());
}

// A target that another server could serve as well.
class Lasting final : public Target {
public:
    Geometry geometry() const override { return test::everything_allowed(); }
    Persistence persistence() const override { return Persistence::backing; }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
};

class SharingRecovery : public SharingServer {
protected:
    void SetUp() override {
        driver_->available_features = UBLK_F_SHMEM_ZC | UBLK_F_USER_RECOVERY | UBLK_F_QUIESCE;
        auto first =
            start_with_driver(driver_, std::make_unique<Lasting>(),
                              {.depth = 2, .recovery = Recovery::queue, .shared_memory = map()});
        ASSERT_TRUE(first);
        ASSERT_TRUE(driver_->open_control(Milliseconds{20})->quiesce(0, Milliseconds{1}));
        ASSERT_EQ(*first->run(), End::left);
        ASSERT_TRUE(driver_->registered_memory().empty());
    }
    int read_shared() {
        driver_->issue(0, 0, {.op = UBLK_IO_OP_READ, .sectors = 8, .shared_address = 4096});
        return driver_->wait_for_result(0, 0);
    }
    int read_other() {
        driver_->issue(0, 1, {.op = UBLK_IO_OP_READ, .sectors = 8});
        return driver_->wait_for_result(0, 1);
    }
};

TEST_F(SharingRecovery, NextServerRegistersItsOwn) {
    auto second =
        recover_with_driver(driver_, 0, std::make_unique<Lasting>(), {.shared_memory = map()});
    ASSERT_TRUE(second);
    EXPECT_EQ(driver_->registered_memory().size(), 1U);
    EXPECT_EQ(read_shared(), 4096);
    EXPECT_EQ(read_other(), 4096);
}

TEST_F(SharingRecovery, WithoutTheMemoryAllIsCopied) {
    auto second = recover_with_driver(driver_, 0, std::make_unique<Lasting>(), {});
    ASSERT_TRUE(second);
    EXPECT_EQ(second->copy().mode, CopyMode::shmem);
    EXPECT_EQ(read_other(), 4096);
    EXPECT_EQ(read_shared(), -EIO) << "this memory is somebody else's";
}

TEST_F(SharingRecovery, MemoryThatTheDriverRefusesDoesNotKeepTheDiskWaiting) {
    driver_->fail_control(UBLK_U_CMD_REG_BUF, -ENOMEM);
    auto second =
        recover_with_driver(driver_, 0, std::make_unique<Lasting>(), {.shared_memory = map()});
    ASSERT_TRUE(second);
    EXPECT_EQ(read_other(), 4096);
}

} // namespace
} // namespace ublk
