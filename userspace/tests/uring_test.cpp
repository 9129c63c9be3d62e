// SPDX-License-Identifier: GPL-2.0-or-later
#include "uring.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <vector>

#include <ublk/unique_fd.h>

namespace ublk {
namespace {

class UringTest : public testing::Test {
protected:
    void SetUp() override {
        Result<std::unique_ptr<Uring>> created = KernelUring::create(4);
        if (!created)
            GTEST_SKIP() << created.error().message();
        uring = std::move(*created);
    }
    std::unique_ptr<Uring> uring;
};

TEST_F(UringTest, CompletesWhatWasSubmitted) {
    for (unsigned i = 0; i < 3; ++i) {
        io_uring_sqe* sqe = uring->next_sqe();
        ASSERT_NE(sqe, nullptr);
        sqe->opcode = IORING_OP_NOP;
        sqe->user_data = 10 + i;
    }
    ASSERT_EQ(uring->enter(3), 0);
    std::vector<std::uint64_t> seen;
    uring->reap([&](std::uint64_t data, int) { seen.push_back(data); });
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{10, 11, 12}));
}

TEST_F(UringTest, HasNoEntryLeftWhenFull) {
    for (int i = 0; i < 4; ++i)
        ASSERT_NE(uring->next_sqe(), nullptr);
    EXPECT_EQ(uring->next_sqe(), nullptr);
    EXPECT_EQ(uring->enter(0), 0);
    EXPECT_NE(uring->next_sqe(), nullptr);
}

TEST_F(UringTest, RegisteredFilesAreUsable) {
    const UniqueFd file{::memfd_create("uring_test", MFD_CLOEXEC)};
    const int files[] = {file.get()};
    ASSERT_EQ(uring->register_files(files), 0);
    io_uring_sqe* sqe = uring->next_sqe();
    sqe->opcode = IORING_OP_FSYNC;
    sqe->fd = 0;
    sqe->flags = IOSQE_FIXED_FILE;
    ASSERT_EQ(uring->enter(1), 0);
    int result = -1;
    uring->reap([&](std::uint64_t, int value) { result = value; });
    EXPECT_EQ(result, 0);
}

TEST(DeferredTaskWork, IsLeftAloneWhereItCanTakeTheKernelAlong) {
    EXPECT_FALSE(defers_task_work_safely("6.1.0-56-amd64"));
    EXPECT_FALSE(defers_task_work_safely("6.2.16"));
    EXPECT_FALSE(defers_task_work_safely("5.19.0"));
    EXPECT_TRUE(defers_task_work_safely("6.3.0"));
    EXPECT_TRUE(defers_task_work_safely("6.12.57+deb13-amd64"));
    EXPECT_TRUE(defers_task_work_safely("7.3-amd64"));
    EXPECT_FALSE(defers_task_work_safely("next"));
}

TEST(AdviceOnRing, TellsASwitchFromAFilter) {
    EXPECT_NE(advice_on_ring(EPERM, "2").find("sysctl kernel.io_uring_disabled=0"),
              std::string::npos);
    EXPECT_NE(advice_on_ring(EPERM, "0").find("seccomp"), std::string::npos);
    EXPECT_NE(advice_on_ring(EPERM, "").find("seccomp"), std::string::npos);
    EXPECT_NE(advice_on_ring(ENOSYS, "").find("seccomp"), std::string::npos);
    EXPECT_NE(advice_on_ring(EMFILE, "").find("ulimit -n"), std::string::npos);
}

} // namespace
} // namespace ublk
