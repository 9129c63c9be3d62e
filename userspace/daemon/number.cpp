// SPDX-License-Identifier: GPL-2.0-or-later
// Strict conversion between text and numbers.
#include "number.h"

#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

namespace ublk::daemon {

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || rest != end)
        return std::nullopt;
    return value;
}

Result<std::uint64_t> parse_number_in(std::string_view what, std::string_view text, Range range) {
    auto value = parse_number(text);
    if (!value || *value < range.least || *value > range.most)
        return Error{EINVAL, fmt::format("{}={}", what, text),
                     fmt::format("use {} to {}", range.least, range.most), ErrorKind::usage};
    return *value;
}

std::string format_size(std::uint64_t bytes) {
    static constexpr std::array suffixes = {"", "K", "M", "G", "T"};
    std::size_t step = 0;
    while (step + 1 < suffixes.size() && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        ++step;
    }
    return std::to_string(bytes) + suffixes[step];
}

} // namespace ublk::daemon
