// SPDX-License-Identifier: GPL-2.0-or-later
#include "data_path.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

#include "support/allocation_counter.h"
#include "support/memfd.h"
#include "support/target_bench.h"
#include "support/temporary_directory.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::TargetBench;
using test::TestTarget;
using namespace std::chrono_literals;

constexpr std::array all_modes{CopyMode::driver, CopyMode::user, CopyMode::zero, CopyMode::shmem};
constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};
constexpr test::BlockRequest write_4k{.op = UBLK_IO_OP_WRITE, .sector = 0, .sectors = 8};

// A disk in a vector, by buffer().
class Memory final : public Target {
public:
    Geometry geometry() const override { return {.size_bytes = bytes_.size()}; }
    Async<Answer> serve(Ring, Request request) override {
        const auto place = bytes_.begin() + static_cast<std::ptrdiff_t>(request.offset);
        if (request.op == Op::read)
            std::copy_n(place, request.length, request.data.memory().begin());
        else
            std::copy_n(request.data.memory().begin(), request.length, place);
        co_return request.done();
    }

private:
    std::vector<std::byte> bytes_ = std::vector<std::byte>(1 << 20);
};

// A disk in a file, by data().
class InFile final : public Target {
public:
    InFile() : fd_(::memfd_create("test", MFD_CLOEXEC)), file_(fd_.get()) {
        EXPECT_EQ(::ftruncate(fd_.get(), 1 << 20), 0);
    }
    Geometry geometry() const override { return {.size_bytes = 1 << 20}; }
    void register_files(FileTable& files) override { file_ = files.add(fd_.get()); }
    DataAccess data_access() const override { return DataAccess::ring; }
    Async<Answer> serve(Ring ring, Request request) override {
        if (request.op == Op::read)
            co_return co_await ring.read(file_, request.data, request.offset);
        else
            co_return co_await ring.write(file_, request.data, request.offset);
    }

private:
    UniqueFd fd_;
    File file_;
};

void expect_data_come_back(TargetBench& bench) {
    const std::vector<std::byte> written = test::pattern(64 << 10, 3);
    std::vector<std::byte> read(written.size());
    EXPECT_EQ(bench.write(8192, written), static_cast<int>(written.size()));
    EXPECT_EQ(bench.read(8192, read), static_cast<int>(read.size()));
    EXPECT_EQ(read, written);
}

TEST(DataPath, EveryModeBringsDataToATargetAndBack) {
    for (CopyMode mode : {CopyMode::driver, CopyMode::user, CopyMode::shmem}) {
        Memory target;
        TargetBench bench{target, 4, mode};
        expect_data_come_back(bench);
    }
    for (CopyMode mode : all_modes) {
        InFile target;
        TargetBench bench{target, 4, mode};
        expect_data_come_back(bench);
    }
}

TEST(DataPath, EveryModeGoesOnAfterAPartialTransfer) {
    for (CopyMode mode : all_modes) {
        InFile target;
        TargetBench bench{target, 4, mode};
        bench.driver().limit_transfers(512);
        expect_data_come_back(bench);
    }
}

TEST(DataPath, NoModeAllocatesPerRequest) {
    for (CopyMode mode : all_modes) {
        InFile target;
        TargetBench bench{target, 4, mode};
        bench.request(write_4k);
        bench.request(read_4k);
        const std::uint64_t before = test::heap_allocations();
        for (int i = 0; i < 100; ++i) {
            bench.request(write_4k);
            bench.request(read_4k);
        }
        EXPECT_EQ(test::heap_allocations(), before) << name_of(mode);
    }
}

TEST(DataPath, EveryModeEndsCleanlyWithRequestsInFlight) {
    for (CopyMode mode : all_modes) {
        TestTarget target{[](Ring ring, Request request) -> Async<Answer> {
            co_await ring.sleep(1ms);
            co_return request.done();
        }};
        TargetBench bench{target, 4, mode};
        bench.submit(0, read_4k);
        bench.submit(1, write_4k);
        bench.queue().step(0);
        bench.driver().take_back_tags();
        bench.queue().run();
        EXPECT_EQ(bench.result(0), 4096);
        EXPECT_EQ(bench.result(1), 4096);
    }
}

TEST(UserCopy, GivesTheDriverNoBuffer) {
    Memory target;
    TargetBench bench{target, 2, CopyMode::user};
    EXPECT_EQ(bench.driver().buffer(0, 0), nullptr);
    bench.request(read_4k);
    EXPECT_EQ(bench.driver().buffer(0, 0), nullptr);
}

TEST(UserCopy, CopiesDataOnceAndNothingForOtherOperations) {
    TestTarget target{test::succeed};
    TargetBench bench{target, 2, CopyMode::user};
    bench.request(write_4k);
    EXPECT_EQ(bench.driver().user_copies(), 1U);
    bench.request(read_4k);
    EXPECT_EQ(bench.driver().user_copies(), 2U);
    bench.flush();
    bench.discard(0, 4096);
    bench.write_zeroes(0, 4096);
    EXPECT_EQ(bench.driver().user_copies(), 2U);
}

TEST(UserCopy, WriteWhoseDataCannotBeReadNeverReachesTheTarget) {
    TestTarget target{[](Ring, Request request) -> Async<Answer> {
        ADD_FAILURE() << "served";
        co_return request.done();
    }};
    for (int result : {-EFAULT, 0, 512}) {
        TargetBench bench{target, 2, CopyMode::user};
        bench.driver().fail_next_user_copy(result);
        EXPECT_EQ(bench.request(write_4k), -EIO);
    }
}

// Both ways go through threads of the kernel's.
TEST(UserCopy, MoveThatGetsNoThreadIsTriedAgain) {
    TestTarget target{test::succeed};
    for (int result : {-ECANCELED, -EAGAIN, -ENOMEM}) {
        TargetBench bench{target, 2, CopyMode::user};
        bench.driver().fail_next_user_copy(result);
        EXPECT_EQ(bench.request(read_4k), 4096);
        bench.driver().fail_next_user_copy(result);
        EXPECT_EQ(bench.request(write_4k), 4096);
        EXPECT_GT(bench.driver().slept(), 0ns);
    }
}

TEST(UserCopy, ReadWhoseDataCannotBeWrittenFails) {
    TestTarget target{test::succeed};
    for (int result : {-EFAULT, 0, 512}) {
        TargetBench bench{target, 2, CopyMode::user};
        bench.driver().fail_next_user_copy(result);
        EXPECT_EQ(bench.request(read_4k), -EIO);
        EXPECT_EQ(bench.request(read_4k), 4096) << "the next one is not affected";
    }
}

TEST(UserCopy, FailedReadCopiesNothing) {
    TestTarget target{[](Ring, Request) -> Async<Answer> { co_return Answer::failed(ENOSPC); }};
    TargetBench bench{target, 2, CopyMode::user};
    EXPECT_EQ(bench.request(read_4k), -ENOSPC);
    EXPECT_EQ(bench.driver().user_copies(), 0U);
}

TEST(UserCopy, RequestsOneAfterTheOtherShareOneBuffer) {
    static std::set<std::byte*> seen;
    seen.clear();
    TestTarget target{[](Ring, Request request) -> Async<Answer> {
        seen.insert(request.data.memory().data());
        co_return request.done();
    }};
    TargetBench bench{target, 8, CopyMode::user};
    for (unsigned tag = 0; tag < 8; ++tag) {
        bench.submit(tag, read_4k);
        bench.finish_all();
    }
    EXPECT_EQ(seen.size(), 1U);
}

TEST(UserCopy, RequestsAtATimeHaveBuffersOfTheirOwn) {
    static std::set<std::byte*> seen;
    seen.clear();
    TestTarget target{[](Ring ring, Request request) -> Async<Answer> {
        seen.insert(request.data.memory().data());
        co_await ring.sleep(1ms);
        co_return request.done();
    }};
    TargetBench bench{target, 8, CopyMode::user};
    for (unsigned tag = 0; tag < 8; ++tag)
        bench.submit(tag, tag % 2 ? read_4k : write_4k);
    bench.finish_all();
    EXPECT_EQ(seen.size(), 8U);
}

// A submission queue that is full at every step, in every stage of a request.
TEST(DataPath, SubmissionQueueSmallerThanTheLoadLosesNothing) {
    for (CopyMode mode : all_modes) {
        auto driver = std::make_shared<test::FakeDriver>(1, 16);
        InFile target;
        CheckedTarget checked{target};
        auto uring = std::make_unique<test::FakeUring>(*driver, 32);
        FileTable files;
        target.register_files(files);
        uring->register_files(files.descriptors());
        SharedPlace nothing{nullptr};
        auto data = *make_data_path(mode, {0, 16, 4096, &nothing});
        ASSERT_TRUE(data->prepare(*uring));
        Queue queue{{.index = 0,
                     .depth = 16,
                     .uring = std::move(uring),
                     .data = std::move(data),
                     .frames = *FramePool::create(64),
                     .descriptors = driver->map_descriptors(-1, 0, 16)->first,
                     .target = &checked,
                     .workers = nullptr}};
        ASSERT_EQ(queue.fetch_all(), 0);
        for (unsigned tag = 0; tag < 16; ++tag)
            driver->issue(0, tag, tag % 2 ? read_4k : write_4k);
        for (int round = 0; round < 8; ++round)
            queue.step(0);
        for (unsigned tag = 0; tag < 16; ++tag)
            EXPECT_EQ(driver->result(0, tag), 4096) << name_of(mode);
        driver->take_back_tags();
        queue.run();
    }
}

TEST(ZeroCopy, UsesThePagesOfTheRequestAndNothingElse) {
    InFile target;
    TargetBench bench{target, 2, CopyMode::zero};
    expect_data_come_back(bench);
    EXPECT_EQ(bench.driver().buffer(0, 0), nullptr);
    EXPECT_EQ(bench.driver().user_copies(), 0U);
}

TEST(ZeroCopy, RegistersByHandWhereTheDriverFoundNoRoom) {
    InFile target;
    TargetBench bench{target, 2, CopyMode::zero};
    bench.driver().refuse_automatic_buffers();
    for (int round = 0; round < 3; ++round)
        expect_data_come_back(bench); // a place that was not emptied would be refused
}

TEST(ZeroCopy, FailedRegistrationFailsTheRequest) {
    TestTarget target{[](Ring, Request request) -> Async<Answer> {
        ADD_FAILURE() << "served";
        co_return request.done();
    }};
    TargetBench bench{target, 2, CopyMode::zero};
    bench.driver().refuse_automatic_buffers();
    bench.driver().fail_next_operation(IORING_OP_URING_CMD, -EBUSY);
    EXPECT_EQ(bench.request(read_4k), -EIO);
}

TEST(ZeroCopy, RegistrationThatLacksMemoryIsTriedAgain) {
    TestTarget target{test::succeed};
    TargetBench bench{target, 2, CopyMode::zero};
    bench.driver().refuse_automatic_buffers();
    bench.driver().fail_next_operation(IORING_OP_URING_CMD, -ENOMEM);
    EXPECT_EQ(bench.request(read_4k), 4096);
    EXPECT_GT(bench.driver().slept(), 0ns);
}

// A disk whose users have the same memory as its server.
class SharedCopyTest : public testing::Test {
protected:
    static constexpr unsigned number = 2;
    static constexpr std::uint32_t place = 8192;
    const test::Memfd file_{65536};
    SharedPlace shared_{std::make_shared<SharedMemory>(*SharedMemory::map(file_.path()))};

    void SetUp() override { shared_.is_registered_as(number); }

    static test::BlockRequest shared_4k(unsigned op, std::uint32_t offset, unsigned of = number) {
        return {.op = op,
                .sectors = 8,
                .shared_address = ublk_shmem_zc_addr(static_cast<std::uint16_t>(of), offset)};
    }
    void expect_data_come_back_in_place(TargetBench& bench) {
        const std::vector<std::byte> written = test::pattern(4096, 5);
        std::copy(written.begin(), written.end(), file_.data() + place);
        EXPECT_EQ(bench.request(shared_4k(UBLK_IO_OP_WRITE, place)), 4096);
        std::fill_n(file_.data() + place, 4096, std::byte{0});
        EXPECT_EQ(bench.request(shared_4k(UBLK_IO_OP_READ, place)), 4096);
        EXPECT_TRUE(std::equal(written.begin(), written.end(), file_.data() + place));
        // And by the other way it is the same disk.
        std::vector<std::byte> read(4096);
        EXPECT_EQ(bench.read(0, read), 4096);
        EXPECT_EQ(read, written);
    }
};

TEST_F(SharedCopyTest, TargetWorksWhereTheUsersDataLie) {
    Memory by_memory;
    TargetBench first{by_memory, 4, CopyMode::shmem, &shared_};
    expect_data_come_back_in_place(first);
    InFile by_ring;
    TargetBench second{by_ring, 4, CopyMode::shmem, &shared_};
    expect_data_come_back_in_place(second);
}

TEST_F(SharedCopyTest, OffersABufferForAllOtherRequests) {
    Memory target;
    TargetBench bench{target, 2, CopyMode::shmem, &shared_};
    EXPECT_NE(bench.driver().buffer(0, 0), nullptr);
    EXPECT_EQ(bench.request(shared_4k(UBLK_IO_OP_READ, place)), 4096);
    EXPECT_NE(bench.driver().buffer(0, 0), nullptr);
    expect_data_come_back(bench);
}

TEST_F(SharedCopyTest, PlaceThatIsNotOursFailsUnseenByTheTarget) {
    TestTarget target{[](Ring, Request request) -> Async<Answer> {
        ADD_FAILURE() << "served";
        co_return request.done();
    }};
    TargetBench bench{target, 2, CopyMode::shmem, &shared_};
    EXPECT_EQ(bench.request(shared_4k(UBLK_IO_OP_WRITE, place, number + 1)), -EIO);
    EXPECT_EQ(bench.request(shared_4k(UBLK_IO_OP_READ, 65536 - 512)), -EIO);
    EXPECT_EQ(bench.request(shared_4k(UBLK_IO_OP_READ, UINT32_MAX)), -EIO);
    EXPECT_EQ(bench.queue().statistics().rejected, 3U);
}

} // namespace
} // namespace ublk
