// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers of the command line and of procfs; sizes with a suffix are the library's parse_size().
#ifndef UBLKD_NUMBER_H
#define UBLKD_NUMBER_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <ublk/result.h>

namespace ublk::daemon {

// Decimal digits and nothing else; no sign, no space, no wrap-around.
std::optional<std::uint64_t> parse_number(std::string_view text);

struct Range {
    std::uint64_t least;
    std::uint64_t most;
};

// A usage error that names `what` and the range.
Result<std::uint64_t> parse_number_in(std::string_view what, std::string_view text, Range range);

// Exact and short: 10G, 1536K, 1000.
std::string format_size(std::uint64_t bytes);

} // namespace ublk::daemon

#endif
