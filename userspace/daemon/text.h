// SPDX-License-Identifier: GPL-2.0-or-later
// Names of files are bytes, strings of JSON are text. This is how bytes become text and back.
#ifndef UBLKD_TEXT_H
#define UBLKD_TEXT_H

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace ublk::daemon {

// UTF-8 stays what it is. A byte that is none becomes \xHH, two small hexadecimal digits; so that
// this can be undone, a backslash before what looks so becomes \x5c.
std::string to_text(std::string_view bytes);
std::string to_bytes(std::string_view text);

// The same with every string of a document that is a value.
nlohmann::json document_to_text(nlohmann::json document);
nlohmann::ordered_json document_to_text(nlohmann::ordered_json document);
nlohmann::json document_to_bytes(nlohmann::json document);
nlohmann::ordered_json document_to_bytes(nlohmann::ordered_json document);

} // namespace ublk::daemon

#endif
