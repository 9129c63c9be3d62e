// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/ring.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <thread>

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
    Async<Answer> operator()(Ring ring, Request request) const { return go(*this, ring, request); }
    static Async<Answer> go(Read self, Ring ring, Request request) {
        *self.result = co_await ring.read(self.file, self.buffer, self.offset);
        co_return request.done();
    }
};

struct Write {
    File file;
    std::span<const std::byte> buffer;
    std::uint64_t offset;
    int* result;
    Async<Answer> operator()(Ring ring, Request request) const { return go(*this, ring, request); }
    static Async<Answer> go(Write self, Ring ring, Request request) {
        *self.result = co_await ring.write(self.file, self.buffer, self.offset, Durability::stable);
        co_return request.done();
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
    class Reader final : public Target {
    public:
        Reader(int first, int second) : descriptors_{first, second} {}
        Geometry geometry() const override { return test::everything_allowed(); }
        void register_files(FileTable& files) override {
            files.add(descriptors_[0]);
            second_ = files.add(descriptors_[1]);
        }
        Async<Answer> serve(Ring ring, Request request) override {
            EXPECT_TRUE(second_.is_registered());
            co_await ring.read(second_, std::as_writable_bytes(std::span{text}), 0);
            co_return request.done();
        }
        std::string text = std::string(6, '-');

    private:
        std::array<int, 2> descriptors_;
        File second_{-1};
    } target{first.get(), second.get()};
    TargetBench bench{target};
    EXPECT_EQ(bench.request(any), 0);
    EXPECT_EQ(target.text, "second");
}

struct SyncAndAllocate {
    int file;
    Async<Answer> operator()(Ring ring, Request request) const { return go(file, ring, request); }
    static Async<Answer> go(int file, Ring ring, Request request) {
        EXPECT_EQ(co_await ring.sync(file), 0);
        EXPECT_EQ(co_await ring.sync(file, Sync::full), 0);
        EXPECT_EQ(co_await ring.allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 4),
                  0);
        EXPECT_EQ(co_await ring.sync(-1), -EBADF);
        co_return request.done();
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
    Async<Answer> operator()(Ring ring, Request request) const { return go(*this, ring, request); }
    static Async<Answer> go(Synchronize self, Ring ring, Request request) {
        *self.result = co_await ring.sync(self.file);
        co_return request.done();
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
    RingUser user{[](Ring ring, Request request) -> Async<Answer> {
        EXPECT_EQ(co_await ring.sleep(2500ms), 0);
        EXPECT_EQ(co_await ring.yield(), 0);
        co_return request.done();
    }};
    user.run();
    EXPECT_EQ(user.bench().driver().slept(), 2500ms);
}

struct Poll {
    int file;
    Async<Answer> operator()(Ring ring, Request request) const { return go(file, ring, request); }
    static Async<Answer> go(int file, Ring ring, Request request) {
        EXPECT_EQ(co_await ring.poll(file, POLLIN), POLLIN);
        co_return request.done();
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
    RingUser user{[](Ring ring, Request request) -> Async<Answer> {
        EXPECT_EQ(ring.queue_index(), 0U);
        co_return request.done();
    }};
    user.run();
}

struct PollForAWhile {
    int file;
    int* result;
    Async<Answer> operator()(Ring ring, Request request) const { return go(*this, ring, request); }
    static Async<Answer> go(PollForAWhile self, Ring ring, Request request) {
        *self.result = co_await ring.poll(self.file, POLLIN).within(20ms);
        co_return request.done();
    }
};

TEST(Ring, LimitEndsWhatTakesLonger) {
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC)};
    int result = 0;
    RingUser user{PollForAWhile{event.get(), &result}};
    user.run();
    EXPECT_EQ(result, -ETIMEDOUT);
    ::eventfd_write(event.get(), 1);
    user.run();
    EXPECT_EQ(result, POLLIN);
}

TEST(Ring, CancelEndsWhatWaitsForTheFile) {
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC)};
    struct Cancelling {
        int file;
        Async<Answer> operator()(Ring ring, Request request) const {
            return request.op == Op::flush ? wait(file, ring, request)
                                           : cancel(file, ring, request);
        }
        static Async<Answer> wait(int file, Ring ring, Request) {
            co_return co_await ring.poll(file, POLLIN);
        }
        static Async<Answer> cancel(int file, Ring ring, Request request) {
            EXPECT_EQ(co_await ring.cancel(file), 1);
            co_return request.done();
        }
    };
    TestTarget target{Cancelling{event.get()}};
    TargetBench bench{target};
    bench.submit(0, any);
    bench.queue().step(0);
    bench.submit(1, {.op = UBLK_IO_OP_DISCARD, .sector = 0, .sectors = 8});
    bench.finish_all();
    EXPECT_EQ(bench.result(0), -ECANCELED);
    EXPECT_EQ(bench.result(1), 0);
}

// Reads for one request, and cancels that for the other.
struct ReadOrCancel {
    int file;
    std::span<std::byte> buffer;
    Async<Answer> operator()(Ring ring, Request request) const {
        return request.op == Op::flush ? read(*this, ring) : cancel(file, ring, request);
    }
    static Async<Answer> read(ReadOrCancel self, Ring ring) {
        const int result = co_await ring.read(self.file, self.buffer, 0);
        co_return result < 0 ? result : 0;
    }
    static Async<Answer> cancel(int file, Ring ring, Request request) {
        co_await ring.cancel(file);
        co_return request.done();
    }
};
constexpr test::BlockRequest cancel_it{.op = UBLK_IO_OP_DISCARD, .sector = 0, .sectors = 8};

TEST(Ring, CanceledWhileItWasUnderWayIsNotTriedAgain) {
    const UniqueFd file = file_with("0123");
    std::array<std::byte, 4> buffer{};
    TestTarget target{ReadOrCancel{file.get(), buffer}};
    TargetBench bench{target};
    bench.driver().fail_next_operation(IORING_OP_READ, -ECANCELED);
    bench.submit(0, any);
    bench.submit(1, cancel_it);
    bench.finish_all();
    EXPECT_EQ(bench.result(0), -ECANCELED);
    // What comes later is none of it, and lacks a thread.
    bench.driver().fail_next_operation(IORING_OP_READ, -ECANCELED);
    EXPECT_EQ(bench.request(any), 0);
}

TEST(Ring, CancelEndsWhatIsToBeTriedAgain) {
    const UniqueFd file = file_with("0123");
    std::array<std::byte, 4> buffer{};
    TestTarget target{ReadOrCancel{file.get(), buffer}};
    TargetBench bench{target};
    for (int i = 0; i < 50; ++i)
        bench.driver().fail_next_operation(IORING_OP_READ, -EAGAIN);
    testing::internal::CaptureStderr();
    bench.submit(0, any);
    bench.queue().step(0);
    bench.queue().step(0);
    EXPECT_FALSE(bench.result(0));
    bench.submit(1, cancel_it);
    bench.finish_all();
    testing::internal::GetCapturedStderr();
    EXPECT_EQ(bench.result(0), -ECANCELED);
    EXPECT_EQ(bench.result(1), 0);
}

// A limit is the target's own way to wait no longer.
TEST(Ring, LimitedOperationIsNotTriedAgain) {
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC)};
    struct Limited {
        int file;
        int* result;
        Async<Answer> operator()(Ring ring, Request request) const {
            return go(*this, ring, request);
        }
        static Async<Answer> go(Limited self, Ring ring, Request request) {
            msghdr message{};
            *self.result = co_await ring.recvmsg(self.file, message).within(1h);
            co_return request.done();
        }
    };
    for (const int error : {-EAGAIN, -ENOBUFS, -ECANCELED}) {
        int result = 0;
        RingUser user{Limited{event.get(), &result}};
        user.bench().driver().fail_next_operation(IORING_OP_RECVMSG, error);
        user.run();
        EXPECT_EQ(result, error);
    }
}

struct Talk {
    int socket;
    std::string* heard;
    Async<Answer> operator()(Ring ring, Request request) const { return go(*this, ring, request); }
    static Async<Answer> go(Talk self, Ring ring, Request request) {
        std::array<char, 8> text{};
        iovec piece{text.data(), text.size()};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        const int got = co_await ring.recvmsg(self.socket, message);
        *self.heard = std::string(text.data(), static_cast<std::size_t>(got));
        piece.iov_len = static_cast<std::size_t>(got);
        EXPECT_EQ(co_await ring.sendmsg(self.socket, message), got);
        co_return request.done();
    }
};

TEST(Ring, MessagesAreReceivedAndSent) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const UniqueFd ours{ends[0]};
    const UniqueFd theirs{ends[1]};
    ASSERT_EQ(::send(theirs.get(), "hello", 5, 0), 5);
    std::string heard;
    RingUser user{Talk{ours.get(), &heard}};
    user.run();
    EXPECT_EQ(heard, "hello");
    std::array<char, 8> text{};
    EXPECT_EQ(::recv(theirs.get(), text.data(), text.size(), 0), 5);
}

TEST(Ring, OffloadRunsElsewhereAndReturnsTheValue) {
    RingUser user{[](Ring ring, Request request) -> Async<Answer> {
        const std::thread::id here = std::this_thread::get_id();
        const auto there = co_await ring.offload([] { return std::this_thread::get_id(); });
        EXPECT_NE(there, here);
        EXPECT_EQ(std::this_thread::get_id(), here);
        co_return request.done();
    }};
    user.run();
    user.run();
}

TEST(Ring, BorrowedMemoryIsAlignedAndUsedAgain) {
    RingUser user{[](Ring ring, Request request) -> Async<Answer> {
        std::byte* first = nullptr;
        {
            const Buffer buffer = ring.borrow(5000);
            const Buffer other = ring.borrow(5000);
            first = buffer.memory().data();
            EXPECT_GE(buffer.memory().size(), 5000U);
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 4096, 0U);
            EXPECT_NE(other.memory().data(), first);
        }
        // Given back last, as it was made first.
        EXPECT_EQ(ring.borrow(8192).memory().data(), first);
        EXPECT_FALSE(ring.borrow(std::size_t{1} << 40));
        co_return request.done();
    }};
    user.run();
}

TEST(Ring, BorrowedMemoryCarriesData) {
    const UniqueFd file = file_with("0123456789");
    struct Copy {
        int file;
        Async<Answer> operator()(Ring ring, Request request) const {
            return go(file, ring, request);
        }
        static Async<Answer> go(int file, Ring ring, Request request) {
            const Buffer buffer = ring.borrow(4096);
            EXPECT_EQ(co_await ring.read(file, buffer.data().slice(0, 4), 6), 4);
            EXPECT_EQ(co_await ring.write(file, buffer.data().slice(0, 4), 0), 4);
            co_return request.done();
        }
    };
    RingUser user{Copy{file.get()}};
    user.run();
    EXPECT_EQ(content(file), "6789456789");
}

} // namespace
} // namespace ublk
