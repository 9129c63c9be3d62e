// SPDX-License-Identifier: GPL-2.0-or-later
// Maps errors to exit codes and prints them.
#include "report.h"

#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "text.h"

namespace ublk::daemon {

std::string_view meaning(Exit exit) {
    switch (exit) {
    case Exit::ok:
        return "success";
    case Exit::usage:
        return "wrong usage: unknown verb, option or key, or a bad value";
    case Exit::missing:
        return "no such device, target or file";
    case Exit::permission:
        return "no permission";
    case Exit::busy:
        return "busy, or the device number is in use";
    case Exit::backend:
        return "the backing cannot be used, or failed";
    case Exit::driver:
        return "the driver is missing or too old";
    case Exit::timeout:
        return "timed out";
    case Exit::partial:
        return "list, reclaim, --all: some devices failed";
    }
    return "";
}

static Exit exit_for_errno(int error) {
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
    case ENXIO:
        return Exit::missing;
    case EACCES:
    case EPERM:
    case EROFS:
        return Exit::permission;
    case EBUSY:
    case EEXIST:
    case ETXTBSY:
    case EAGAIN:
        return Exit::busy;
    case ETIMEDOUT:
    case ETIME:
        return Exit::timeout;
    default:
        return Exit::backend;
    }
}

Exit exit_code(const Error& error) {
    switch (error.kind) {
    case ErrorKind::usage:
        return Exit::usage;
    case ErrorKind::backend:
        return Exit::backend;
    case ErrorKind::driver:
        return Exit::driver;
    case ErrorKind::system:
        break;
    }
    return exit_for_errno(error.code);
}

std::string_view usual_advice(int code) {
    switch (code) {
    case EACCES:
    case EPERM:
        return "run as root; a container may need more capabilities or a wider seccomp filter";
    case ENOMEM:
        return "free some memory, or raise the limit of this service's cgroup";
    case EMFILE:
        return "raise the limit of open files: ulimit -n";
    case ENFILE:
        return "raise the system's limit of open files: sysctl fs.file-max";
    case EAGAIN:
        return "something is short for a moment: try again, or raise ulimit -u and pids.max";
    case EINTR:
        return "it was interrupted: try again";
    case ENOSPC:
    case EDQUOT:
        return "make room there";
    case EROFS:
        return "make it writable, or choose another place";
    case ENOENT:
    case ENOTDIR:
        return "check the name, and that /dev, /proc and /sys are mounted";
    case ENODEV:
    case ENXIO:
        return "see ublkd list for what exists";
    case EBUSY:
    case EEXIST:
    case ETXTBSY:
        return "somebody else has it: see ublkd list, ublkd show and lsblk";
    case ETIME:
    case ETIMEDOUT:
        return "see ublkd list, and the kernel log: dmesg";
    case EINVAL:
    case EOPNOTSUPP:
    case ENOSYS:
        return "this kernel or driver does not take it: see ublkd features, and dmesg";
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
        return "the process at the other end has gone: see ublkd list";
    default:
        return "see the kernel log: dmesg";
    }
}

static Error with_advice(Error error) {
    if (error.hint.empty())
        error.hint = usual_advice(error.code);
    return error;
}

Error in_context(std::string_view context, Error error) {
    error.step = fmt::format("{}: {}", context, error.step);
    return error;
}

static std::string on_one_line(std::string_view text) {
    std::string line;
    for (unsigned char c : text) {
        if (c == '\n')
            line += "\\n";
        else if (c < 0x20 || c == 0x7f)
            line += fmt::format("\\x{:02x}", c);
        else
            line += static_cast<char>(c);
    }
    return line;
}

std::string error_line(std::string_view verb, const Error& error) {
    std::string_view separator = verb.empty() ? "" : ": ";
    return on_one_line(
        to_text(fmt::format("ublkd: {}{}{}", verb, separator, with_advice(error).message())));
}

nlohmann::ordered_json error_json(const Error& error) {
    const char* reason = ::strerrordesc_np(error.code);
    return {{"code", static_cast<int>(exit_code(error))},
            {"errno", error.code},
            {"message", error.step + ": " + (reason ? reason : "unknown error")},
            {"hint", with_advice(error).hint}};
}

} // namespace ublk::daemon
