// SPDX-License-Identifier: GPL-2.0-or-later
// Looks for the disk in the io.max of every cgroup, and in the files that version 1 has for it.
#include "throttle.h"

#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "file.h"

namespace ublk::daemon {

namespace {

bool has_line_of(const std::string& path, const std::string& disk) {
    auto text = read_file(path);
    std::istringstream lines(text ? *text : "");
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(disk + " "))
            return true;
    return false;
}

// One line at a time, and never a new file.
void write_line(const std::string& path, const std::string& line) {
    const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (file)
        static_cast<void>(!::write(file.get(), line.data(), line.size()));
}

// What stands for no limit behind the number of the disk.
std::string_view no_limit_in(std::string_view name) {
    if (name == "io.max")
        return " rbps=max wbps=max riops=max wiops=max";
    return name.starts_with("blkio.throttle.") && name.ends_with("_device") ? " 0" : "";
}

} // namespace

void lift_limits(const Paths& paths, int number) {
    namespace fs = std::filesystem;
    const std::string disk = read_word(paths.block_sysfs(number) + "/dev");
    if (disk.empty())
        return;
    std::error_code error;
    fs::recursive_directory_iterator entry(paths.sys + "/fs/cgroup",
                                           fs::directory_options::skip_permission_denied, error);
    for (; !error && entry != fs::recursive_directory_iterator{}; entry.increment(error)) {
        const std::string path = entry->path().string();
        const std::string_view no_limit = no_limit_in(entry->path().filename().string());
        if (!no_limit.empty() && has_line_of(path, disk))
            write_line(path, disk + std::string(no_limit));
    }
}

} // namespace ublk::daemon
