// SPDX-License-Identifier: GPL-2.0-or-later
// Asks for the facts, and decides what becomes of each.
#include "backing_properties.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <linux/blkzoned.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace ublk::targets {

namespace {

constexpr std::uint64_t longest_discard = 1U << 30;
constexpr std::uint64_t largest_logical_block = 4096; // that ublk has
constexpr std::uint64_t largest_physical_block = 256U << 20;
// Above that it is not what can be written at once, but what is good to: 1 MiB on NFS.
constexpr std::uint64_t largest_file_system_block = 64U << 10;
constexpr std::uint64_t usual_block = 4096;
constexpr long zfs_magic = 0x2fc12fc1;
constexpr long bcachefs_magic = 0xca451a4eL;

template <class Value> Value ask(int descriptor, unsigned long request, Value otherwise) {
    Value value{};
    return ::ioctl(descriptor, request, &value) == 0 ? value : otherwise;
}

// What sysfs has of a disk, or of the disk that a partition is on.
class Attributes {
public:
    Attributes(dev_t device, const KernelPaths& paths)
        : directory_(paths.sys + "/dev/block/" + std::to_string(major(device)) + ":" +
                     std::to_string(minor(device))) {}

    std::optional<std::string> word(const std::string& name) const {
        for (const char* where : {"/", "/../"}) {
            std::ifstream file(directory_ + where + name);
            std::string value;
            if (file >> value)
                return value;
        }
        return std::nullopt;
    }
    std::optional<std::uint64_t> number(const std::string& name) const {
        const auto text = word(name);
        if (!text || text->find_first_not_of("0123456789") != std::string::npos)
            return std::nullopt;
        return std::strtoull(text->c_str(), nullptr, 10);
    }

private:
    std::string directory_;
};

std::uint32_t power_of_two_or_zero(std::uint64_t value) {
    return std::has_single_bit(value) && value <= largest_physical_block
               ? static_cast<std::uint32_t>(value)
               : 0;
}

std::uint64_t largest_power_of_two_in(std::uint64_t value) { return value & (~value + 1); }

Error refused(int code, const BackingRequest& request, const std::string& hint,
              ErrorKind kind = ErrorKind::system) {
    return Error{code, "file=" + request.path, hint, kind};
}

// Tries a range behind the end, where there is nothing to punch: a file system refuses a mode that
// it does not know before it looks at the range.
int try_to_punch(int descriptor, std::uint64_t size) {
    const auto end = static_cast<off_t>((size + 0xfffff) & ~std::uint64_t{0xfffff});
    return ::fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, 1 << 20) == 0
               ? 0
               : errno;
}

// Who has a record lock on the file, such as a virtual machine on its image.
std::optional<std::int32_t> find_locker(int descriptor, bool read_only) {
    struct flock lock {};
    lock.l_type = static_cast<short>(read_only ? F_RDLCK : F_WRLCK);
    lock.l_whence = SEEK_SET;
    if (::fcntl(descriptor, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return std::nullopt;
    return std::max(lock.l_pid, 0); // -1: of an open file, not of a process
}

bool checks_its_data(long file_system) {
    return file_system == static_cast<long>(BTRFS_SUPER_MAGIC) || file_system == zfs_magic ||
           file_system == bcachefs_magic;
}

void take_over_discard(const DiskFacts& disk, Properties& properties) {
    if (disk.discard_max_bytes == 0)
        return;
    const std::uint64_t granularity = std::max(disk.discard_granularity, disk.logical_block_size);
    const std::uint64_t most = std::min(disk.discard_max_bytes, longest_discard);
    properties.discard = DiscardWay::block_layer;
    // ublk knows powers of two only.
    properties.discard_granularity = static_cast<std::uint32_t>(
        std::min(largest_power_of_two_in(granularity), largest_physical_block));
    properties.first_granule = disk.discard_alignment;
    properties.max_discard_bytes = static_cast<std::uint32_t>(
        std::max(most / disk.logical_block_size, std::uint64_t{1}) * disk.logical_block_size);
}

std::string locked_hint(std::int32_t process) {
    return process > 0 ? "process " + std::to_string(process) + " has locked it; end that first"
                       : "another program, such as a virtual machine, has locked it; see lslocks";
}

} // namespace

DiskFacts ask_disk(int descriptor, dev_t device, bool read_only, const KernelPaths& paths) {
    const Attributes attributes(device, paths);
    const auto number = [&](const char* name) { return attributes.number(name).value_or(0); };
    const bool has_zones = ask<std::uint32_t>(descriptor, BLKGETNRZONES, 0) != 0;
    DiskFacts disk;
    disk.zoned = attributes.word("queue/zoned").value_or(has_zones ? "host-managed" : "none");
    disk.write_protected = ask<int>(descriptor, BLKROGET, 0) != 0;
    disk.rotational = ask<unsigned short>(descriptor, BLKROTATIONAL, 0) != 0;
    disk.stable_writes = number("queue/stable_writes") != 0;
    disk.logical_block_size = static_cast<unsigned>(ask<int>(descriptor, BLKSSZGET, 512));
    disk.physical_block_size = ask<unsigned>(descriptor, BLKPBSZGET, 512);
    disk.io_min = ask<unsigned>(descriptor, BLKIOMIN, 0);
    disk.io_opt = ask<unsigned>(descriptor, BLKIOOPT, 0);
    disk.alignment_offset = ask<int>(descriptor, BLKALIGNOFF, 0);
    disk.discard_max_bytes = number("queue/discard_max_bytes");
    disk.discard_granularity = number("queue/discard_granularity");
    disk.discard_alignment = number("discard_alignment");
    disk.locked_by = find_locker(descriptor, read_only);
    return disk;
}

FileFacts ask_file(int descriptor, bool read_only, const KernelPaths& paths) {
    FileFacts facts;
    struct stat file {};
    struct statfs system {};
    if (::fstat(descriptor, &file) == 0) {
        facts.size = static_cast<std::uint64_t>(file.st_size);
        facts.io_size = static_cast<std::uint64_t>(file.st_blksize);
        facts.rotational =
            Attributes(file.st_dev, paths).number("queue/rotational").value_or(0) != 0;
    }
    if (::fstatfs(descriptor, &system) == 0) {
        facts.file_system_block = static_cast<std::uint64_t>(system.f_frsize);
        facts.file_system = static_cast<long>(system.f_type);
    }
    facts.seals = std::max(::fcntl(descriptor, F_GET_SEALS), 0);
    facts.locked_by = find_locker(descriptor, read_only);
    char byte = 0;
    facts.ends_where_it_says =
        facts.size == 0 || ::pread(descriptor, &byte, 1, static_cast<off_t>(facts.size - 1)) != 0;
    if (!read_only) {
        const int punched = try_to_punch(descriptor, facts.size);
        facts.swap = punched == ETXTBSY;
        facts.punches_holes = punched != EOPNOTSUPP && punched != ENOSYS;
    }
    return facts;
}

Result<Properties> properties_of(const DiskFacts& disk, const BackingRequest& request) {
    if (disk.zoned == "host-managed")
        return refused(ENOTSUP, request,
                       "it is zoned, and its zones cannot be passed on; put dm-zoned on it, or see "
                       "the target zoned",
                       ErrorKind::backend);
    if (disk.logical_block_size > largest_logical_block)
        return refused(ENOTSUP, request,
                       "its blocks have " + std::to_string(disk.logical_block_size) +
                           " bytes, those of a ublk disk " + std::to_string(largest_logical_block) +
                           " at most",
                       ErrorKind::backend);
    if (disk.write_protected && !request.read_only)
        return refused(EROFS, request, "it is write-protected; use --read-only");
    if (disk.locked_by)
        return refused(EBUSY, request, locked_hint(*disk.locked_by));

    Properties properties;
    properties.rotational = disk.rotational;
    properties.stable_pages = disk.stable_writes;
    properties.offset_alignment =
        static_cast<std::uint32_t>(std::max<std::uint64_t>(disk.logical_block_size, 512));
    properties.physical_block_size = power_of_two_or_zero(disk.physical_block_size);
    properties.io_min = power_of_two_or_zero(disk.io_min);
    properties.io_opt = power_of_two_or_zero(disk.io_opt);
    if (disk.alignment_offset < 0)
        properties.physical_block_size = properties.offset_alignment;
    else
        properties.first_physical_block = static_cast<std::uint64_t>(disk.alignment_offset);
    if (disk.zoned == "host-aware")
        properties.remarks.push_back("it is zoned, but is used as an ordinary disk");
    if (!request.read_only)
        take_over_discard(disk, properties);
    return properties;
}

Result<Properties> properties_of(const FileFacts& file, const BackingRequest& request) {
    if (file.size == 0)
        return refused(ENODATA, request, "it is empty; truncate -s SIZE makes it larger",
                       ErrorKind::backend);
    if (!file.ends_where_it_says)
        return refused(ENODATA, request, "it has less in it than its size says; use another file",
                       ErrorKind::backend);
    if (file.swap)
        return refused(EBUSY, request, "the kernel swaps to it; swapoff " + request.path);
    if (!request.read_only && (file.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
        return refused(EPERM, request, "it is sealed against writing; use --read-only");
    if (file.locked_by)
        return refused(EBUSY, request, locked_hint(*file.locked_by));

    Properties properties;
    properties.rotational = file.rotational;
    properties.stable_pages = checks_its_data(file.file_system);
    const std::uint64_t block = power_of_two_or_zero(file.file_system_block);
    properties.physical_block_size = static_cast<std::uint32_t>(
        block && block <= largest_file_system_block ? block : usual_block);
    if (file.io_size > properties.physical_block_size)
        properties.io_opt = power_of_two_or_zero(file.io_size);
    if (!request.read_only && file.punches_holes) {
        properties.discard = DiscardWay::punch_hole;
        properties.discard_granularity = properties.physical_block_size;
        properties.max_discard_bytes = longest_discard;
    }
    return properties;
}

} // namespace ublk::targets
