// SPDX-License-Identifier: GPL-2.0-or-later
// Checks names against what udev can take, and against those of all records.
#include "disk_name.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <ublk/control.h>

#include "state.h"

namespace ublk::daemon {

static constexpr std::size_t longest_name = 64;

static bool is_letter_or_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// "disk-part1" is what udev calls the first partition of "disk".
static bool ends_like_a_partition(std::string_view text) {
    const auto end = text.find_last_not_of("0123456789");
    return end != std::string_view::npos && end + 1 < text.size() &&
           text.substr(0, end + 1).ends_with("-part");
}

Result<std::string> parse_disk_name(std::string_view text) {
    const auto refused = [&](std::string hint) {
        return Error{EINVAL, fmt::format("--name={}", text), std::move(hint), ErrorKind::usage};
    };
    const bool are_taken = std::all_of(text.begin(), text.end(), [](char c) {
        return is_letter_or_digit(c) ||
               std::string_view("+-.:=@_").find(c) != std::string_view::npos;
    });
    if (text.empty() || text.size() > longest_name || !are_taken || !is_letter_or_digit(text[0]))
        return refused(fmt::format("use up to {} letters, digits and +-.:=@_, the first a letter "
                                   "or digit",
                                   longest_name));
    if (ends_like_a_partition(text))
        return refused("that is what a partition is called: use another end than -partN");
    return std::string(text);
}

Result<void> check_name_is_free(const Paths& paths, std::string_view name, int number,
                                const FindDevice& find) {
    if (name.empty())
        return {};
    const StateDirectory state(paths);
    for (const int other : state.numbers()) {
        if (other == number)
            continue;
        const auto record = state.read(other);
        if (record && *record && (*record)->name == name && find(**record))
            return Error{EEXIST, fmt::format("--name={}", name),
                         fmt::format("{} is called so; use another name, or ublkd del {}",
                                     block_device_path(other), other)};
    }
    return {};
}

} // namespace ublk::daemon
