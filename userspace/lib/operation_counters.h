// SPDX-License-Identifier: MIT
// OperationCounters is what a queue counts of one operation, when its target answers.
#ifndef UBLK_LIB_OPERATION_COUNTERS_H
#define UBLK_LIB_OPERATION_COUNTERS_H

#include <cstdint>

#include <ublk/server.h>

#include "counter.h"

namespace ublk {

// A power of two, so that the place of one is a shift.
class alignas(32) OperationCounters {
public:
    void count(std::uint64_t length, int result) noexcept {
        ++requests_;
        if (result < 0) [[unlikely]]
            ++errors_;
        else
            bytes_ += length;
    }
    OperationStatistics statistics() const noexcept {
        return {.requests = requests_.get(), .bytes = bytes_.get(), .errors = errors_.get()};
    }

private:
    Counter requests_;
    Counter bytes_;
    Counter errors_;
};

} // namespace ublk

#endif
