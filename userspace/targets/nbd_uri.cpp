// SPDX-License-Identifier: GPL-2.0-or-later
// Takes URIs of NBD exports apart.
#include "nbd_uri.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include <arpa/inet.h>

namespace ublk::targets::nbd {

namespace {

constexpr std::string_view default_port = "10809";

Error wrong(std::string_view shown, std::string hint) {
    return Error{EINVAL, "uri=" + std::string(shown), std::move(hint), ErrorKind::usage};
}

std::optional<unsigned> hex_digit(char letter) {
    if (letter >= '0' && letter <= '9')
        return static_cast<unsigned>(letter - '0');
    const int lower = std::tolower(static_cast<unsigned char>(letter));
    if (lower >= 'a' && lower <= 'f')
        return static_cast<unsigned>(lower - 'a' + 10);
    return std::nullopt;
}

// "%2F" is a slash. Nothing if a percent sign stands for no byte, or for the end of a string.
std::optional<std::string> decode(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            plain += text[i];
            continue;
        }
        if (text.size() - i < 3)
            return std::nullopt;
        const auto high = hex_digit(text[i + 1]);
        const auto low = hex_digit(text[i + 2]);
        if (!high || !low || (*high == 0 && *low == 0))
            return std::nullopt;
        plain += static_cast<char>(*high << 4 | *low);
        i += 2;
    }
    return plain;
}

// The part before the separator and that behind it; all is before where there is none.
std::pair<std::string_view, std::string_view> cut(std::string_view text, std::string_view at) {
    const auto place = text.find(at);
    if (place == std::string_view::npos)
        return {text, {}};
    return {text.substr(0, place), text.substr(place + at.size())};
}

struct Scheme {
    std::string_view name;
    bool tls;
    bool is_unix;
};

constexpr std::array<Scheme, 4> schemes{Scheme{"nbd", false, false}, Scheme{"nbds", true, false},
                                        Scheme{"nbd+unix", false, true},
                                        Scheme{"nbds+unix", true, true}};

// "[::1]:10810", "host", "10.0.0.1:10810"
Result<void> read_host(Uri& uri, std::string_view place) {
    std::string_view host = place;
    std::string_view port = default_port;
    if (place.starts_with('[')) {
        const auto [inside, rest] = cut(place.substr(1), "]");
        host = inside;
        if (rest.starts_with(':'))
            port = rest.substr(1);
    } else if (place.find(':') != std::string_view::npos) {
        std::tie(host, port) = cut(place, ":");
    }
    if (host.empty())
        return wrong(uri.text, "it names no server: nbd://HOST/EXPORT");
    const bool is_number = !port.empty() && port.size() <= 5 &&
                           std::all_of(port.begin(), port.end(), [](unsigned char digit) {
                               return std::isdigit(digit) != 0;
                           });
    if (!is_number)
        return wrong(uri.text, "its port is no number");
    uri.host = host;
    std::transform(uri.host.begin(), uri.host.end(), uri.host.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    uri.port = port;
    return {};
}

Result<void> read_socket(Uri& uri, std::string_view authority) {
    if (!authority.empty())
        return wrong(uri.text, "a Unix socket has no host: nbd+unix:///EXPORT?socket=PATH");
    if (!uri.socket.starts_with('/'))
        return wrong(uri.text, "it needs the absolute path of a socket: "
                               "nbd+unix:///EXPORT?socket=PATH");
    return {};
}

Result<void> read_query(Uri& uri, std::string_view query, bool is_unix) {
    while (!query.empty()) {
        const auto [word, rest] = cut(query, "&");
        query = rest;
        const auto [key, value] = cut(word, "=");
        if (key.starts_with("tls-"))
            return wrong(uri.text, "files of TLS are options of their own: tls-certificates=, "
                                   "tls-psk=");
        if (key != "socket" || !is_unix)
            return wrong(uri.text, "its parameter '" + std::string(key) + "' means nothing here");
        const auto path = decode(value);
        if (!path)
            return wrong(uri.text, "a % in the path of the socket must stand before two digits");
        uri.socket = *path;
    }
    return {};
}

} // namespace

Result<Uri> parse_uri(std::string_view text) {
    const auto [first, hierarchy] = cut(text, "://");
    const std::string_view scheme_name = first; // a lambda cannot capture the other
    const auto* scheme = std::find_if(schemes.begin(), schemes.end(),
                                      [&](const Scheme& one) { return one.name == scheme_name; });
    const auto [before_query, query] = cut(hierarchy, "?");
    auto [authority, path] = cut(before_query, "/");
    std::string_view user;
    if (authority.find('@') != std::string_view::npos)
        std::tie(user, authority) = cut(authority, "@");
    if (user.find(':') != std::string_view::npos) // first of all, so that nothing shows it
        return wrong(std::string(scheme_name) + "://...",
                     "it has a password, which everybody can read in /proc; give a file: tls-psk=");
    if (scheme == schemes.end())
        return wrong(text, "it must begin with nbd://, nbds://, nbd+unix:// or nbds+unix://");

    Uri uri;
    uri.text = text;
    uri.tls = scheme->tls;
    const auto name = decode(path);
    const auto plain_user = decode(user);
    if (!name || !plain_user)
        return wrong(text, "a % must stand before two digits");
    uri.name = *name;
    uri.user = *plain_user;
    if (auto read = read_query(uri, query, scheme->is_unix); !read)
        return read.error();
    auto read = scheme->is_unix ? read_socket(uri, authority) : read_host(uri, authority);
    if (!read)
        return read.error();
    return uri;
}

bool Uri::needs_resolver() const {
    in6_addr address{};
    return !is_unix() && ::inet_pton(AF_INET, host.c_str(), &address) != 1 &&
           ::inet_pton(AF_INET6, host.c_str(), &address) != 1;
}

std::string Uri::identity() const {
    if (!is_unix())
        return "tcp:" + host + ":" + port + "/" + name;
    std::error_code error;
    const auto path = std::filesystem::weakly_canonical(socket, error);
    return "unix:" + (error ? socket : path.string()) + "/" + name;
}

} // namespace ublk::targets::nbd
