// SPDX-License-Identifier: GPL-2.0-or-later
// Writes to standard output and standard error.
#include "output.h"

#include <cerrno>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "json.h"
#include "text.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

static void write_to(std::FILE* stream, std::string_view text) {
    // The stream remembers a failure for flush_output().
    static_cast<void>(std::fwrite(text.data(), 1, text.size(), stream));
}

void print(std::string_view text) { write_to(stdout, text); }

void print_json(const ordered_json& document) {
    ordered_json whole{{"schema", 1}};
    whole.update(document);
    print(write_json(document_to_text(std::move(whole))) + "\n");
}

void print_error_line(std::string_view line) {
    write_to(stderr, line);
    write_to(stderr, "\n");
}

Result<void> flush_output() {
    errno = 0;
    if (std::fflush(stdout) == 0 && !std::ferror(stdout))
        return {};
    return Error{errno ? errno : EIO, "write the output", "", ErrorKind::backend};
}

} // namespace ublk::daemon
