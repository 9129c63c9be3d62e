// SPDX-License-Identifier: GPL-2.0-or-later
// Follows names as the kernel would, to see whether they lead through /proc.
#include "names.h"

#include <cerrno>
#include <deque>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <sys/stat.h>

#include "file.h"

namespace ublk::daemon {

namespace {

constexpr int most_links = 40; // the kernel's own limit

bool is_same_file(const std::string& one, const std::string& other) {
    struct stat first {
    }, second{};
    return ::stat(one.c_str(), &first) == 0 && ::stat(other.c_str(), &second) == 0 &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

} // namespace

Result<std::string> absolute_name(std::string_view option, const std::string& name) {
    std::error_code error;
    std::string absolute = std::filesystem::absolute(name, error).string();
    if (error)
        return Error{error.value(), fmt::format("{}={}", option, name),
                     "the working directory has gone; give a name that begins with /"};
    return absolute;
}

bool is_of_a_process(const std::string& name) {
    const std::filesystem::path whole{name};
    std::deque<std::filesystem::path> rest{whole.begin(), whole.end()};
    std::filesystem::path reached{"/"};
    for (int links = 0; !rest.empty() && links < most_links;) {
        const std::filesystem::path next = (reached / rest.front()).lexically_normal();
        rest.pop_front();
        if (next == "/proc")
            return !rest.empty();
        const std::filesystem::path link{read_link(next.string())};
        if (!link.empty())
            ++links;
        rest.insert(rest.begin(), link.begin(), link.end());
        if (link.empty())
            reached = next;
        else if (link.is_absolute())
            reached = "/";
    }
    return false;
}

Result<std::string> lasting_name(std::string_view option, const std::string& name) {
    auto absolute = absolute_name(option, name);
    if (!absolute || !is_of_a_process(*absolute))
        return absolute;
    std::error_code error;
    std::string own = std::filesystem::canonical(*absolute, error).string();
    if (!error && !is_of_a_process(own) && is_same_file(own, *absolute))
        return own;
    if (error && error.value() != ENOENT)
        return Error{error.value(), fmt::format("{}={}", option, name), "check the name"};
    return Error{EINVAL, fmt::format("{}={}", option, name),
                 "it means what a process has open, which has no name of its own; the next server "
                 "could not find it: give a file with a name",
                 ErrorKind::usage};
}

} // namespace ublk::daemon
