// SPDX-License-Identifier: GPL-2.0-or-later
// The URI of an NBD export, as the NBD project's uri.md defines it: read by us only to refuse what
// must not be there and to tell two exports apart. libnbd reads it again to connect.
#ifndef UBLK_TARGETS_NBD_URI_H
#define UBLK_TARGETS_NBD_URI_H

#include <string>
#include <string_view>

#include <ublk/result.h>

namespace ublk::targets::nbd {

struct Uri {
    std::string text{}; // as given
    bool tls = false;
    std::string user{};   // of TLS; may be empty
    std::string host{};   // in lower case; empty: a Unix socket
    std::string port{};   // "10809" if none was given
    std::string socket{}; // its path, absolute
    std::string name{};   // of the export; empty: the server's default

    bool is_unix() const noexcept { return host.empty(); }
    // Whether the name server has to be asked where that is.
    bool needs_resolver() const;
    // The same for all spellings of one export: "tcp:host:port/name" or "unix:path/name".
    std::string identity() const;
};

// Fails with a usage error on anything but nbd://, nbds://, nbd+unix:// and nbds+unix://, on a
// password, which others could read in /proc, and on parameters other than `socket`. The error does
// not repeat a password.
Result<Uri> parse_uri(std::string_view text);

} // namespace ublk::targets::nbd

#endif
