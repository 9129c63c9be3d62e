// SPDX-License-Identifier: GPL-2.0-or-later
// What the verbs print. Nothing here throws when the output is closed or full: whether all of it
// could be written is asked once, at the end.
#ifndef UBLKD_OUTPUT_H
#define UBLKD_OUTPUT_H

#include <string_view>

#include <nlohmann/json_fwd.hpp>
#include <ublk/result.h>

namespace ublk::daemon {

void print(std::string_view text);

// The members of `document` behind "schema": 1, on one line. File names need not be UTF-8; what is
// not is replaced.
void print_json(const nlohmann::ordered_json& document);

void print_error_line(std::string_view line);

Result<void> flush_output();

} // namespace ublk::daemon

#endif
