// SPDX-License-Identifier: GPL-2.0-or-later
// Small files (sysfs, procfs, state) and names of directory entries, without exceptions.
#ifndef UBLKD_FILE_H
#define UBLKD_FILE_H

#include <string>
#include <string_view>
#include <vector>

#include <ublk/result.h>

namespace ublk::daemon {

Result<std::string> read_file(const std::string& path);

// The text without white space at its end; empty when there is no such file.
std::string read_word(const std::string& path);

Result<void> write_file(const std::string& path, std::string_view text);

// To a file that is there, as those of procfs and sysfs are.
Result<void> write_value(const std::string& path, std::string_view text);

// Entry names without "." and "..", sorted; empty when there is no such directory.
std::vector<std::string> list_directory(const std::string& path);

// Empty when there is no such link.
std::string read_link(const std::string& path);

} // namespace ublk::daemon

#endif
