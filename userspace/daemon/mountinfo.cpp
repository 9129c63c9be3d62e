// SPDX-License-Identifier: GPL-2.0-or-later
// Parses mountinfo; lines that are none are left out.
#include "mountinfo.h"

#include <sstream>

namespace ublk::daemon {

static bool is_octal(std::string_view digits) {
    return digits.size() == 3 && digits.find_first_not_of("01234567") == std::string_view::npos;
}

static std::string unescape(std::string_view text) {
    std::string plain;
    while (!text.empty()) {
        if (text[0] == '\\' && is_octal(text.substr(1, 3))) {
            plain += static_cast<char>((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
            text.remove_prefix(4);
        } else {
            plain += text[0];
            text.remove_prefix(1);
        }
    }
    return plain;
}

std::vector<Mount> parse_mountinfo(std::string_view text) {
    std::vector<Mount> mounts;
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string id, parent, device, root, point, word, type, source;
        words >> id >> parent >> device >> root >> point;
        // Optional fields come before the separator.
        while (words >> word && word != "-") {
        }
        if (words >> type >> source)
            mounts.push_back({device, unescape(point), unescape(source)});
    }
    return mounts;
}

} // namespace ublk::daemon
