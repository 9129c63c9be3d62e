// SPDX-License-Identifier: MIT
// Keeps the last cancellation of each file.
#include "cancellations.h"

namespace ublk {

void Cancellations::add(File file) {
    ++count_;
    const auto found = std::ranges::find_if(
        files_, [&](const Canceled& canceled) { return same(canceled.file, file); });
    if (found == files_.end())
        files_.push_back({file, count_});
    else
        found->last = count_;
}

} // namespace ublk
