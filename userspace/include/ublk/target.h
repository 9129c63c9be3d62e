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
#include <vector>

#include <ublk/geometry.h>
#include <ublk/identity.h>
#include <ublk/io.h>
#include <ublk/options.h>
#include <ublk/result.h>
#include <ublk/ring.h>
#include <ublk/task.h>

namespace ublk {

// How a target gets at the data of reads and writes.
enum class DataAccess {
    memory, // by Io::buffer()
    ring,   // by Io::data() only, so that nobody has to copy them for it where the driver helps
};

// Where a target keeps the bytes of the disk.
enum class Persistence {
    process, // in this process, and nowhere else
    backing, // where another process finds all that was completed here
    flushed, // there, but it finds no more than was flushed if this one does not end in order
};

class Target {
public:
    Target() = default;
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    virtual ~Target() = default;

    // As the target was created: constant for its life.
    virtual Geometry geometry() const = 0;

    // Serves one request; called by the thread of the request's queue, where it must not block:
    // wait with co_await on io.ring(). With more than one queue, several threads call it at a time.
    // What arrives has been checked: it lies inside the device, is aligned to the logical block,
    // and is an operation that the geometry announced. An operation that cannot be served after all
    // is failed with EOPNOTSUPP.
    virtual Task serve(Io io) = 0;

    // Constant for the life of the target. A filter says what the target that it wraps says.
    virtual DataAccess data_access() const { return DataAccess::memory; }

    // Constant for the life of the target. Only of a target with Persistence::backing can the
    // server be replaced by another one, made with the same options.
    virtual Persistence persistence() const { return Persistence::process; }

    // What it keeps the bytes in, so that no two disks write there. Constant for its life.
    virtual std::vector<BackingUse> backings() const { return {}; }
    // Whether the I/O on that passes the page cache by; nothing if there is no such difference.
    virtual std::optional<bool> is_direct() const { return std::nullopt; }
    // What a user should know about how this one is served: half a line each, no full stop.
    virtual std::vector<std::string> remarks() const { return {}; }

    // Gets ready to serve `size` bytes, or if none is given as many as the backing has by now, and
    // returns how many. Called beside serve(), by another thread, once at a time. What lies behind
    // a smaller size must stay: requests for it may be under way, and the disk may grow again.
    virtual Result<std::uint64_t> resize(std::optional<std::uint64_t> size) {
        static_cast<void>(size);
        return Error{EOPNOTSUPP, "resize", "this target has one size for life"};
    }

    // Descriptors to register with every ring; Ring::file(i) is the i-th. They belong to the
    // target.
    virtual std::span<const int> files() const { return {}; }
};

struct TargetInfo {
    std::string_view name;
    std::string_view summary; // one line, no full stop
    std::span<const OptionInfo> options;
    // `values` have been checked against `options`; the target's geometry() has `request` applied.
    Result<std::unique_ptr<Target>> (*create)(const OptionValues& values,
                                              const GeometryRequest& request);
};

} // namespace ublk

#endif
