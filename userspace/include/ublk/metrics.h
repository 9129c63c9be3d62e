// SPDX-License-Identifier: MIT
// Metrics collects what a stack of targets has counted, for whoever watches the server.
#ifndef UBLK_METRICS_H
#define UBLK_METRICS_H

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ublk {

class Metrics {
public:
    struct Entry {
        std::string layer; // the name of its TargetInfo, such as "mirror"
        std::string name;  // such as "resynced_bytes": a-z, 0-9 and _
        std::uint64_t value;
    };

    // A number that only grows while the server lives, or one that is as it is now.
    void add(std::string_view layer, std::string_view name, std::uint64_t value) {
        entries_.push_back({std::string(layer), std::string(name), value});
    }
    const std::vector<Entry>& entries() const noexcept { return entries_; }

private:
    std::vector<Entry> entries_{};
};

} // namespace ublk

#endif
