// SPDX-License-Identifier: GPL-2.0-or-later
// Names of files that mean the same file later, in another process with another working directory.
#ifndef UBLKD_NAMES_H
#define UBLKD_NAMES_H

#include <string>
#include <string_view>

#include <ublk/result.h>

namespace ublk::daemon {

// An absolute name for the file of an option. One that leads through /proc, as /dev/fd/3 does, is
// replaced by the file's own name; a file that has none is refused.
Result<std::string> lasting_name(std::string_view option, const std::string& name);

Result<std::string> absolute_name(std::string_view option, const std::string& name);

// Whether the name leads through /proc, by symbolic links too: to what a process has open, which
// may be another process's or another file by the next time.
bool is_of_a_process(const std::string& name);

} // namespace ublk::daemon

#endif
