// SPDX-License-Identifier: MIT
// What a target keeps its bytes in, whatever that is called: path, link, mount or device node. With
// it the daemon lets one disk at a time write there, and sees whether a name still means the same.
#ifndef UBLK_IDENTITY_H
#define UBLK_IDENTITY_H

#include <cstdint>
#include <string>
#include <vector>

namespace ublk {

// A file or a disk of the kernel, or a part of one; or what a server elsewhere keeps, of which
// `handle` says all that tells it from anything else, in words that begin with the protocol.
struct Identity {
    enum class Kind : std::uint8_t { file, disk, remote };

    Kind kind = Kind::file;
    std::uint64_t device = 0; // dev_t: of a file's file system; of the disk that a partition is on
    std::uint64_t number = 0; // a file's inode, a disk's sequence number (diskseq); 0: unknown
    // A file's, in hex: tells it from the next of its inode; may be empty. Of what a server has all
    // that it is known by.
    std::string handle{};
    std::int64_t birth = 0;        // a file's, in microseconds since the epoch; 0: unknown
    std::uint64_t file_system = 0; // a file's, also after another mount (f_fsid); 0: unknown
    std::uint64_t start = 0;       // bytes
    std::uint64_t length = 0;
    // Not all of that part, but the kernel does not tell what of it: the disks of a volume group.
    bool somewhere = false;

    bool operator==(const Identity&) const = default;
};

struct BackingUse {
    enum class Access : std::uint8_t {
        reads,
        writes,
        shares, // maps it, as its other users do
        // Adds to it what is no part of the disk, such as a log: it can be another file by the next
        // time. Nobody else writes there.
        appends,
    };

    Access access = Access::writes;
    // What was opened, then what the kernel says that consists of.
    std::vector<Identity> things{};
    std::string name{}; // as in "file=/img.raw", for messages
};

} // namespace ublk

#endif
