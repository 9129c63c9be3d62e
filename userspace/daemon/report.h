// SPDX-License-Identifier: GPL-2.0-or-later
// How an error reaches the operator: one exit code, and one line or one JSON document.
#ifndef UBLKD_REPORT_H
#define UBLKD_REPORT_H

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <ublk/result.h>

namespace ublk::daemon {

// Documented and stable: scripts depend on these numbers.
enum class Exit : int {
    ok = 0,
    usage = 1,
    missing = 2,
    permission = 3,
    busy = 4,
    backend = 5,
    driver = 6,
    timeout = 7,
    partial = 8,
};

std::string_view meaning(Exit exit);

Exit exit_code(const Error& error);

// What usually helps against an errno, for errors that know nothing better; never empty.
std::string_view usual_advice(int code);

// The same error, with the name of what it happened to in front.
Error in_context(std::string_view context, Error error);

// `ublkd: VERB: STEP: STRERROR (HINT)`. Control characters are escaped: whatever a file is called,
// the line is one line.
std::string error_line(std::string_view verb, const Error& error);
// {"code", "errno", "message", "hint"}
nlohmann::ordered_json error_json(const Error& error);

} // namespace ublk::daemon

#endif
