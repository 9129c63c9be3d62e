// SPDX-License-Identifier: GPL-2.0-or-later
// The only file that compiles the parser and the writer.
#include "json.h"

#include <nlohmann/json.hpp>

namespace ublk::daemon {

nlohmann::json parse_json(std::string_view text) { return nlohmann::json::parse(text); }

nlohmann::ordered_json parse_ordered_json(std::string_view text) {
    return nlohmann::ordered_json::parse(text);
}

std::string write_json(const nlohmann::json& document, int indent) { return document.dump(indent); }

std::string write_json(const nlohmann::ordered_json& document, int indent) {
    return document.dump(indent);
}

} // namespace ublk::daemon
