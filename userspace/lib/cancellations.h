// SPDX-License-Identifier: MIT
// Cancellations tells what a target has canceled from what io_uring gave up for want of a thread:
// both end with -ECANCELED.
#ifndef UBLK_LIB_CANCELLATIONS_H
#define UBLK_LIB_CANCELLATIONS_H

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ublk/file.h>

namespace ublk {

class Cancellations {
public:
    // Seldom, so it is kept out of who starts an operation.
    void add(File file);

    // How many there were.
    std::uint64_t count() const noexcept { return count_; }
    // Whether the file's operations were canceled when there had been `count` already.
    bool any_since(std::uint64_t count, File file) const noexcept {
        return std::ranges::any_of(files_, [&](const Canceled& canceled) {
            return canceled.last > count && same(canceled.file, file);
        });
    }

private:
    struct Canceled {
        File file;
        std::uint64_t last; // of the cancellations, from 1
    };

    static bool same(File one, File other) noexcept {
        return one.number() == other.number() && one.is_registered() == other.is_registered();
    }

    std::uint64_t count_ = 0;
    std::vector<Canceled> files_{}; // no more than this process has
};

} // namespace ublk

#endif
