// SPDX-License-Identifier: GPL-2.0-or-later
// Reads what sysfs tells of the module.
#include "driver_origin.h"

#include <sys/utsname.h>

#include "file.h"

namespace ublk::daemon {

std::string origin_of_driver(const Paths& paths) {
    const std::string module = paths.sys + "/module/ublk_drv";
    if (read_word(module + "/initstate").empty())
        return "built in";
    // The kernel marks modules from outside its tree with an O.
    return read_word(module + "/taint").find('O') == std::string::npos ? "in-tree module"
                                                                       : "out-of-tree module";
}

std::string kernel_release() {
    utsname name{};
    return ::uname(&name) == 0 ? name.release : "";
}

} // namespace ublk::daemon
