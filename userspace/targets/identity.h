// SPDX-License-Identifier: GPL-2.0-or-later
// What an open file or disk is, under all its names, as far as the kernel tells.
#ifndef UBLK_TARGETS_IDENTITY_H
#define UBLK_TARGETS_IDENTITY_H

#include <string>
#include <vector>

#include <sys/types.h>
#include <ublk/identity.h>
#include <ublk/result.h>

namespace ublk::targets {

// Where the kernel's answers are looked for.
struct KernelPaths {
    std::string sys = "/sys";
    std::string dev = "/dev";
    std::string proc = "/proc";
};

// A file or block device: what it is itself, then what that consists of: the file of a kernel's
// loop device, the disks of a volume, the file in the layer of an overlay.
Result<std::vector<Identity>> identify(int descriptor, const KernelPaths& paths = {});
// The same for a block device by its number.
std::vector<Identity> identify_disk(dev_t device, const KernelPaths& paths = {});

// Whether both are (parts of) the same file or disk.
bool same_thing(const Identity& one, const Identity& other);

// Of two parts of the same: whether they have bytes in common.
bool overlap(const Identity& one, const Identity& other);

// The kernel's loop driver takes no lock on its backing, so it has to be looked for. The name of a
// loop device on that file or disk, or an empty one; those that only read can be left out.
enum class LoopsToFind { all, writers };
std::string kernel_loop_on(const Identity& backing, LoopsToFind which,
                           const KernelPaths& paths = {});

} // namespace ublk::targets

#endif
