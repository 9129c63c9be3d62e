// SPDX-License-Identifier: MIT
// Target is what an author writes: where the bytes of a block device live. TargetInfo is how the
// daemon finds it, creates it from `key=value` options and describes it to users.
#ifndef UBLK_TARGET_H
#define UBLK_TARGET_H

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ublk/geometry.h>
#include <ublk/identity.h>
#include <ublk/metrics.h>
#include <ublk/options.h>
#include <ublk/request.h>
#include <ublk/result.h>
#include <ublk/ring.h>
#include <ublk/task.h>

namespace ublk {

// How a target gets at the data of reads and writes.
enum class DataAccess {
    memory, // by Data::memory()
    ring,   // by handing Request::data to the ring or to another target only, so that nobody has to
            // copy them for it where the driver helps
};

// Where a target keeps the bytes of the disk.
enum class Persistence {
    process, // in this process, and nowhere else
    backing, // where another process finds all that was completed here
    flushed, // there, but it finds no more than was flushed if this one does not end in order
};

// What a target says to a command: names and values, in the order in which they are shown.
using Reply = std::vector<std::pair<std::string, std::string>>;

class Target {
public:
    Target() = default;
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    virtual ~Target() = default;

    // As the target was created: constant for its life.
    virtual Geometry geometry() const = 0;

    // Serves one request, which is answered by what is returned: at once, or by a coroutine that
    // waits for something. Called by the thread of the request's queue, where it must not block:
    // wait with co_await on the ring. With more than one queue, several threads call it at a time.
    // What arrives has been checked: it lies inside the device, is aligned to the logical block,
    // and is an operation that the geometry announced. An operation that cannot be served after all
    // is answered with -EOPNOTSUPP.
    virtual Async<Answer> serve(Ring ring, Request request) = 0;

    // How many coroutines a request has at a time, here and in the targets behind this one. Memory
    // for so many is set aside at the start; those beyond come from the heap, where there may be
    // none. Constant for the life of the target.
    virtual unsigned frames() const { return usual_frames; }

    // Constant for the life of the target.
    virtual DataAccess data_access() const { return DataAccess::memory; }

    // Constant for the life of the target. Only of a target with Persistence::backing can the
    // server be replaced by another one, made with the same options.
    virtual Persistence persistence() const { return Persistence::process; }

    // What it keeps the bytes in, so that no two disks write there. Constant for its life.
    virtual std::vector<BackingUse> backings() const { return {}; }
    // Whether the I/O on that passes the page cache by; nothing if there is no such difference. As
    // it is by now: by any thread, beside everything else.
    virtual std::optional<bool> is_direct() const { return std::nullopt; }
    // What a user should know about how this one is served: half a line each, no full stop. The
    // same holds.
    virtual std::vector<std::string> remarks() const { return {}; }

    // Gets ready to serve `size` bytes, or if none is given as many as the backing has by now, and
    // returns how many. Called beside serve(), by another thread, once at a time. What lies behind
    // a smaller size must stay: requests for it may be under way, and the disk may grow again.
    virtual Result<std::uint64_t> resize(std::optional<std::uint64_t> size) {
        static_cast<void>(size);
        return Error{EOPNOTSUPP, "resize", "this target has one size for life"};
    }

    // A descriptor that can be read (poll(2)) when the backing has another size than before, of an
    // eventfd that the target owns; -1: it does not see that. The server reads it, and asks
    // resize() for the new size. Constant for its life.
    virtual int size_events() const { return -1; }

    // Adds the files that the target does I/O on, and keeps what it gets. Once, before begin(). The
    // descriptors belong to the target.
    virtual void register_files(FileTable& files) { static_cast<void>(files); }

    // Gets ready to serve on one queue: connects, say. Once per queue, by its thread, before the
    // first request. A failure fails the start of the server.
    virtual Async<Result<void>> begin(Ring ring) {
        static_cast<void>(ring);
        co_return Result<void>{};
    }
    // The queue is to end: see that all that waits for the outside, requests among it, comes to an
    // end soon, for example by Ring::cancel(), and answer what still comes with an error. Once per
    // queue that has begun, by its thread: when the last request was answered, or when the server
    // is to stop and requests are still under way a second later. Other queues may still serve.
    virtual Async<void> end(Ring ring) {
        static_cast<void>(ring);
        co_return;
    }
    // The last that is asked of a target, once, when all queues have ended: no request is under way
    // and none will come, there is no ring any more, and it may block. What is still to be stored
    // is stored, or the error says what is lost. Not called if the process is killed, or if a
    // request never ends.
    virtual Result<void> finish() { return {}; }

    // Changes or tells something at run time. By a thread that serves no queue, once at a time. A
    // layer whose settings can be changed is told so by a command of its own name: words of
    // `key=value` change what they name and nothing else, `key=` goes back to the default, and the
    // reply has the values that hold by then, of options that are not set an empty one. Bad words
    // change nothing.
    virtual Result<Reply> command(std::string_view name, std::span<const std::string> words) {
        static_cast<void>(words);
        return Error{EOPNOTSUPP, "command '" + std::string(name) + "'", "no such command here",
                     ErrorKind::usage};
    }

    // Adds what it has counted, each number once, and then what those behind it have. By any
    // thread, beside everything else.
    virtual void measure(Metrics& metrics) const { static_cast<void>(metrics); }

    // Where the server must keep what is mounted, since it opens files there later on.
    virtual std::vector<std::string> paths() const { return {}; }

protected:
    static constexpr unsigned usual_frames = 4;
};

struct TargetInfo {
    std::string_view name;
    std::string_view summary; // one line, no full stop
    std::span<const OptionInfo> options;
    // Of a target that stands by itself; nullptr: of one that stands on others.
    // `values` have been checked against `options`; the target's geometry() has `request` applied.
    Result<std::unique_ptr<Target>> (*create)(const OptionValues& values,
                                              const GeometryRequest& request) = nullptr;
    // Of a target that stands on `least` to `most` others: a filter on one, a mirror on several.
    Result<std::unique_ptr<Target>> (*wrap)(std::vector<std::unique_ptr<Target>> inner,
                                            const OptionValues& values,
                                            const GeometryRequest& request) = nullptr;
    std::size_t least = 0;
    std::size_t most = 0;
    // Of one with wrap: how large what it stands on has to be for it to have `size` bytes itself,
    // 0 if that has the size it has. nullptr: as large. A disk that exists has a size, which the
    // GeometryRequest of each layer is made from.
    std::uint64_t (*size_inside)(const OptionValues& values, std::uint64_t size) = nullptr;

    bool is_filter() const noexcept { return most == 1; }
};

} // namespace ublk

#endif
