// SPDX-License-Identifier: GPL-2.0-or-later
// Reads and writes JSON for all other files: in each that did so itself the library's parser and
// writer, which are templates, would be compiled anew.
#ifndef UBLKD_JSON_H
#define UBLKD_JSON_H

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace ublk::daemon {

// Throw nlohmann::json::parse_error if the text is no JSON.
nlohmann::json parse_json(std::string_view text);
nlohmann::ordered_json parse_ordered_json(std::string_view text);

inline constexpr int one_line = -1;
// Spaces to a level, or one_line. Throws nlohmann::json::type_error if a string is no UTF-8.
std::string write_json(const nlohmann::json& document, int indent = one_line);
std::string write_json(const nlohmann::ordered_json& document, int indent = one_line);

} // namespace ublk::daemon

#endif
