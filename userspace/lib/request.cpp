// SPDX-License-Identifier: MIT
// The names of operations.
#include <ublk/request.h>

namespace ublk {

const char* name_of(Op op) noexcept {
    switch (op) {
    case Op::read:
        return "read";
    case Op::write:
        return "write";
    case Op::flush:
        return "flush";
    case Op::discard:
        return "discard";
    case Op::write_zeroes:
        return "write_zeroes";
    case Op::zone_open:
        return "zone_open";
    case Op::zone_close:
        return "zone_close";
    case Op::zone_finish:
        return "zone_finish";
    case Op::zone_append:
        return "zone_append";
    case Op::zone_reset_all:
        return "zone_reset_all";
    case Op::zone_reset:
        return "zone_reset";
    case Op::report_zones:
        return "report_zones";
    }
    return "?";
}

} // namespace ublk
