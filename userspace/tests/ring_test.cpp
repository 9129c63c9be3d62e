// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/ring.h>

#include <algorithm>
#include <cstdio>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <ublk/unique_fd.h>

#include "support/target_bench.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::TargetBench;
using test::TestTarget;
using namespace std::chrono_literals;

constexpr test::BlockRequest any{.op = UBLK_IO_OP_FLUSH};

UniqueFd file_with(std::string_view text) {
    UniqueFd fd{::memfd_create("ring_test", MFD_CLOEXEC)};
    EXPECT_EQ(::pwrite(fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return fd;
}

std::string content(const UniqueFd& fd) {
    std::string text(64, '\0');
    text.resize(static_cast<std::size_t>(::pread(fd.get(), text.data(), text.size(), 0)));
    return text;
}

// Runs one coroutine that has a ring, inside a request of a bench.
template <class Body> class RingUser {
public:
    RingUser(Body body, std::vector<int> files = {})
        : target_(body, test::everything_allowed(), std::move(files)) {}
    TargetBench& bench() { return bench_; }
    void run() { EXPECT_EQ(bench_.request(any), 0); }

private:
    TestTarget<Body> target_;
    TargetBench bench_{target_};
};

struct Read {
    File file;
    std::span<std::byte> buffer;
    std::uint64_t offset;
    int* result;
    Task operator()(Io io) const { return go(*this, std::move(io)); }
    static Task go(Read self, Io io) {
        *self.result = co_await io.ring().read(self.file, self.buffer, self.offset);
        io.succeed();
    }
};

struct Write {
    File file;
    std::span<const std::byte> buffer;
    std::uint64_t offset;
    int* result;
    Task operator()(Io io) const { return go(*this, std::move(io)); }
    static Task go(Write self, Io io) {
        *self.result =
            co_await io.ring().write(self.file, self.buffer, self.offset, Durability::stable);
        io.succeed();
    }
};

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span{text.data(), text.size()});
}

TEST(Ring, ReadGoesOnUntilTheBufferIsFull) {
    const UniqueFd file = file_with("0123456789");
    std::string text(8, '-');
    int result = 0;
    RingUser user{Read{file.get(), std::as_writable_bytes(std::span{text}), 1, &result}};
    user.bench().driver().limit_transfers(3);
    user.run();
    EXPECT_EQ(result, 8);
    EXPECT_EQ(text, "12345678");
}

TEST(Ring, ReadEndsAtTheEndOfTheFile) {
    const UniqueFd file = file_with("0123");
    std::string text(8, '-');
    int result = 0;
    RingUser user{Read{file.get(), std::as_writable_bytes(std::span{text}), 2, &result}};
    user.run();
    EXPECT_EQ(result, 2);
    EXPECT_EQ(text, "23------");
}

TEST(Ring, ReadReportsAnError) {
    const UniqueFd file = file_with("0123456789");
    std::string text(8, '-');
    int result = 0;
    RingUser user{Read{file.get(), std::as_writable_bytes(std::span{text}), 0, &result}};
    user.bench().driver().fail_next_operation(IORING_OP_READ, -EIO);
    user.run();
    EXPECT_EQ(result, -EIO);
}

TEST(Ring, InterruptedTransferIsRepeated) {
    const UniqueFd file = file_with("0123");
    std::string text(4, '-');
    int result = 0;
    RingUser user{Read{file.get(), std::as_writable_bytes(std::span{text}), 0, &result}};
    user.bench().driver().fail_next_operation(IORING_OP_READ, -EINTR);
    user.run();
    EXPECT_EQ(result, 4);
    EXPECT_EQ(text, "0123");
}

TEST(Ring, WriteGoesOnUntilAllIsWritten) {
    const UniqueFd file = file_with("----------");
    int result = 0;
    RingUser user{Write{file.get(), bytes("abcdefgh"), 1, &result}};
    user.bench().driver().limit_transfers(3);
    user.run();
    EXPECT_EQ(result, 8);
    EXPECT_EQ(content(file), "-abcdefgh-");
}

TEST(Ring, RegisteredFilesAreThoseOfTheTarget) {
    const UniqueFd first = file_with("first");
    const UniqueFd second = file_with("second");
    std::string text(6, '-');
    struct ReadSecond {
        std::span<std::byte> buffer;
        Task operator()(Io io) const { return go(buffer, std::move(io)); }
        static Task go(std::span<std::byte> buffer, Io io) {
            EXPECT_TRUE(io.ring().file(1).is_registered());
            co_await io.ring().read(io.ring().file(1), buffer, 0);
            io.succeed();
        }
    };
    RingUser user{ReadSecond{std::as_writable_bytes(std::span{text})}, {first.get(), second.get()}};
    user.run();
    EXPECT_EQ(text, "second");
}

struct SyncAndAllocate {
    int file;
    Task operator()(Io io) const { return go(file, std::move(io)); }
    static Task go(int file, Io io) {
        const Ring ring = io.ring();
        EXPECT_EQ(co_await ring.sync(file), 0);
        EXPECT_EQ(co_await ring.sync(file, Sync::full), 0);
        EXPECT_EQ(co_await ring.allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 4),
                  0);
        EXPECT_EQ(co_await ring.sync(-1), -EBADF);
        io.succeed();
    }
};

// io_uring can make no thread: a limit of threads is reached.
TEST(Ring, WhatGetsNoThreadIsTriedAgain) {
    const UniqueFd file = file_with("----");
    int result = 0;
    RingUser user{Write{file.get(), bytes("abcd"), 0, &result}};
    for (int i = 0; i < 20; ++i)
        user.bench().driver().fail_next_operation(IORING_OP_WRITE, i % 2 ? -ECANCELED : -EAGAIN);
    testing::internal::CaptureStderr();
    user.run();
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(result, 4);
    EXPECT_EQ(content(file), "abcd");
    EXPECT_GE(user.bench().driver().slept(), 1s) << "it does not try all the time";
    EXPECT_LE(user.bench().driver().slept(), 3s) << "nor too seldom";
    EXPECT_NE(log.find("queue 0: the kernel has no thread for I/O"), std::string::npos) << log;
    EXPECT_NE(log.find("pids.max"), std::string::npos) << log;
    EXPECT_NE(log.find("I/O goes on"), std::string::npos) << log;
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2) << log;
}

struct Synchronize {
    int file;
    int* result;
    Task operator()(Io io) const { return go(*this, std::move(io)); }
    static Task go(Synchronize self, Io io) {
        *self.result = co_await io.ring().sync(self.file);
        io.succeed();
    }
};

TEST(Ring, SynchronizationThatWasNotBegunIsTriedAgain) {
    const UniqueFd file = file_with("0123");
    int result = -1;
    RingUser user{Synchronize{file.get(), &result}};
    user.bench().driver().fail_next_operation(IORING_OP_FSYNC, -ECANCELED);
    user.run();
    EXPECT_EQ(result, 0);
}

// A page that could not be written back for want of memory is told of once.
TEST(Ring, SynchronizationThatFailedForWantOfMemoryIsNot) {
    const UniqueFd file = file_with("0123");
    int result = 0;
    RingUser user{Synchronize{file.get(), &result}};
    user.bench().driver().fail_next_operation(IORING_OP_FSYNC, -ENOMEM);
    user.run();
    EXPECT_EQ(result, -ENOMEM);
}

TEST(Ring, DurableWriteThatFailedForWantOfMemoryIsNotRepeated) {
    const UniqueFd file = file_with("----");
    int result = 0;
    RingUser user{Write{file.get(), bytes("abcd"), 0, &result}};
    user.bench().driver().fail_next_operation(IORING_OP_WRITE, -ENOMEM);
    user.run();
    EXPECT_EQ(result, -ENOMEM);
}

TEST(Ring, ReadThatLacksMemoryIsTriedAgain) {
    const UniqueFd file = file_with("0123");
    std::string text(4, '-');
    int result = 0;
    RingUser user{Read{file.get(), std::as_writable_bytes(std::span{text}), 0, &result}};
    user.bench().driver().fail_next_operation(IORING_OP_READ, -ENOMEM);
    user.run();
    EXPECT_EQ(result, 4);
    EXPECT_EQ(text, "0123");
}

TEST(Ring, SyncAndAllocate) {
    const UniqueFd file = file_with("0123456789");
    RingUser user{SyncAndAllocate{file.get()}};
    user.run();
    EXPECT_EQ(content(file), (std::string{"01\0\0\0\0006789", 10}));
}

TEST(Ring, SleepLastsAsLongAsAskedAndIsNoError) {
    RingUser user{[](Io io) -> Task {
        EXPECT_EQ(co_await io.ring().sleep(2500ms), 0);
        EXPECT_EQ(co_await io.ring().yield(), 0);
        io.succeed();
    }};
    user.run();
    EXPECT_EQ(user.bench().driver().slept(), 2500ms);
}

struct Poll {
    int file;
    Task operator()(Io io) const { return go(file, std::move(io)); }
    static Task go(int file, Io io) {
        EXPECT_EQ(co_await io.ring().poll(file, POLLIN), POLLIN);
        io.succeed();
    }
};

TEST(Ring, PollWaitsForTheEvent) {
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC)};
    TestTarget target{Poll{event.get()}};
    TargetBench bench{target};
    bench.submit(0, any);
    bench.queue().step(0);
    bench.queue().step(0);
    EXPECT_FALSE(bench.result(0));
    ::eventfd_write(event.get(), 1);
    bench.finish_all();
    EXPECT_EQ(bench.result(0), 0);
}

TEST(Ring, KnowsItsQueue) {
    RingUser user{[](Io io) -> Task {
        EXPECT_EQ(io.ring().queue_index(), 0U);
        io.succeed();
        co_return;
    }};
    user.run();
}

} // namespace
} // namespace ublk
