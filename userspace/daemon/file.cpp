// SPDX-License-Identifier: GPL-2.0-or-later
// Small-file helpers over plain system calls; procfs entries may vanish at any moment, which reads
// as empty.
#include "file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <new>

#include <dirent.h>
#include <fcntl.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

namespace ublk::daemon {

Result<std::string> read_file(const std::string& path) {
    UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!fd)
        return Error{errno, "open " + path};

    std::string text;
    std::array<char, 4096> chunk{};
    for (;;) {
        ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
        if (got < 0)
            return Error{errno, "read " + path};
        if (got == 0)
            return text;
        text.append(chunk.data(), static_cast<std::size_t>(got));
    }
}

std::string read_word(const std::string& path) {
    auto text = read_file(path);
    if (!text)
        return {};
    text->erase(text->find_last_not_of(" \n") + 1);
    return *text;
}

Result<void> write_file(const std::string& path, std::string_view text) {
    UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644)};
    if (!fd)
        return Error{errno, "create " + path};

    while (!text.empty()) {
        ssize_t put = ::write(fd.get(), text.data(), text.size());
        if (put < 0)
            return Error{errno, "write " + path};
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

Result<void> write_value(const std::string& path, std::string_view text) {
    UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd)
        return Error{errno, "open " + path};
    if (::write(fd.get(), text.data(), text.size()) < 0)
        return Error{errno, "write " + path};
    return {};
}

std::vector<std::string> list_directory(const std::string& path) {
    std::vector<std::string> names;
    struct Close {
        void operator()(DIR* directory) const { ::closedir(directory); }
    };
    // The library's directory_iterator ends the program when it gets no memory.
    const std::unique_ptr<DIR, Close> directory{::opendir(path.c_str())};
    if (!directory && errno == ENOMEM)
        throw std::bad_alloc();
    while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
        const std::string_view name = static_cast<const char*>(entry->d_name);
        if (name != "." && name != "..")
            names.emplace_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::string read_link(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    if (length < 0)
        return {};
    return {target.data(), static_cast<std::size_t>(length)};
}

} // namespace ublk::daemon
