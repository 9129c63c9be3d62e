// SPDX-License-Identifier: GPL-2.0-or-later
// Sets libnbd's handles up, connects them, and asks what they are connected to.
#include "nbd_handle.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace ublk::targets::nbd {

namespace {

std::string take_text(char* text) {
    const std::unique_ptr<char, decltype(&std::free)> owned{text, &std::free};
    return text ? text : "";
}

bool set_up(nbd_handle* handle, const Settings& settings) {
    const auto given = [](const std::string& text) { return !text.empty(); };
    // Buffers are handed out only when a read has succeeded, and then they are filled.
    bool good = ::nbd_set_pread_initialize(handle, false) == 0 &&
                ::nbd_set_full_info(handle, true) == 0 &&
                ::nbd_set_tls_verify_peer(handle, settings.verify_peer) == 0;
    if (good && given(settings.certificates))
        good = ::nbd_set_tls_certificates(handle, settings.certificates.c_str()) == 0;
    if (good && given(settings.psk))
        good = ::nbd_set_tls_psk_file(handle, settings.psk.c_str()) == 0;
    if (good && given(settings.username))
        good = ::nbd_set_tls_username(handle, settings.username.c_str()) == 0;
    return good;
}

std::uint32_t block_size(nbd_handle* handle, int which) {
    const std::int64_t size = ::nbd_get_block_size(handle, which);
    return size > 0 && size <= UINT32_MAX ? static_cast<std::uint32_t>(size) : 0;
}

} // namespace

Error last_error(const Settings& settings) {
    const int code = ::nbd_get_errno();
    const char* text = ::nbd_get_error();
    return Error{code ? code : EIO, "uri=" + settings.uri.text, text ? text : "",
                 ErrorKind::backend};
}

Result<Handle> make_handle(const Settings& settings) {
    Handle handle{::nbd_create()};
    if (!handle || !set_up(handle.get(), settings))
        return last_error(settings);
    return handle;
}

Result<void> begin_connecting(const Handle& handle, const Settings& settings) {
    if (::nbd_aio_connect_uri(handle.get(), settings.uri.text.c_str()) < 0)
        return last_error(settings);
    return {};
}

short wanted_events(const Handle& handle) noexcept {
    switch (::nbd_aio_get_direction(handle.get())) {
    case LIBNBD_AIO_DIRECTION_READ:
        return POLLIN;
    case LIBNBD_AIO_DIRECTION_WRITE:
        return POLLOUT;
    case LIBNBD_AIO_DIRECTION_BOTH:
        return POLLIN | POLLOUT;
    default:
        return 0;
    }
}

bool is_ready(const Handle& handle) noexcept { return ::nbd_aio_is_ready(handle.get()) > 0; }

// A socket that has failed is neither readable nor writable, but either finds out why.
Result<void> go_on(const Handle& handle, const Settings& settings, short events) {
    const short wanted = wanted_events(handle);
    const bool reads = (wanted & POLLIN) && ((events & POLLIN) || !(events & wanted));
    const int result =
        reads ? ::nbd_aio_notify_read(handle.get()) : ::nbd_aio_notify_write(handle.get());
    if (result < 0)
        return last_error(settings);
    return {};
}

Result<Handle> connect(const Settings& settings, Clock::time_point deadline) {
    auto handle = make_handle(settings);
    if (!handle)
        return handle;
    if (auto begun = begin_connecting(*handle, settings); !begun)
        return begun.error();
    while (!is_ready(*handle)) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0)
            return Error{ETIMEDOUT, "uri=" + settings.uri.text,
                         "the server does not answer; open-timeout= says how long to wait",
                         ErrorKind::backend};
        pollfd wait{::nbd_aio_get_fd(handle->get()), wanted_events(*handle), 0};
        if (wait.events == 0)
            return Error{ECONNRESET, "uri=" + settings.uri.text,
                         "the server has closed the connection", ErrorKind::backend};
        if (::poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(left, 1 << 20))) <= 0)
            continue;
        if (auto done = go_on(*handle, settings, wait.revents); !done)
            return done.error();
    }
    return handle;
}

Export describe(const Handle& handle) {
    nbd_handle* const nbd = handle.get();
    Export found;
    found.name = take_text(::nbd_get_canonical_export_name(nbd));
    found.description = take_text(::nbd_get_export_description(nbd));
    found.size = static_cast<std::uint64_t>(std::max<std::int64_t>(::nbd_get_size(nbd), 0));
    found.minimum = block_size(nbd, LIBNBD_SIZE_MINIMUM);
    found.preferred = block_size(nbd, LIBNBD_SIZE_PREFERRED);
    found.maximum = block_size(nbd, LIBNBD_SIZE_MAXIMUM);
    found.read_only = ::nbd_is_read_only(nbd) > 0;
    found.rotational = ::nbd_is_rotational(nbd) > 0;
    found.flush = ::nbd_can_flush(nbd) > 0;
    found.fua = ::nbd_can_fua(nbd) > 0;
    found.trim = ::nbd_can_trim(nbd) > 0;
    found.zero = ::nbd_can_zero(nbd) > 0;
    found.multi_conn = ::nbd_can_multi_conn(nbd) > 0;
    return found;
}

void keep_alive(const Handle& handle) noexcept {
    constexpr int yes = 1;
    constexpr int idle_seconds = 10;
    constexpr int interval_seconds = 5;
    constexpr int probes = 4;
    const int socket = ::nbd_aio_get_fd(handle.get());
    ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
    ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

std::string address_of(const Handle& handle, const Settings& settings) {
    if (settings.uri.is_unix())
        return {};
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    std::array<char, NI_MAXHOST> host{};
    const int socket = ::nbd_aio_get_fd(handle.get());
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &length) < 0 ||
        ::getnameinfo(reinterpret_cast<const sockaddr*>(&peer), length, host.data(), host.size(),
                      nullptr, 0, NI_NUMERICHOST) != 0)
        return {};
    Uri place = settings.uri;
    place.host = host.data();
    return place.identity();
}

} // namespace ublk::targets::nbd
