// SPDX-License-Identifier: GPL-2.0-or-later
// Opens the backing of a loop device: exclusively, with direct I/O where there is such a thing, and
// asks the kernel for its alignment and limits.
#include "backing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>

#include <fcntl.h>
#include <filesystem>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace ublk::targets {

namespace {

constexpr std::uint32_t longest_discard = 1U << 30;
constexpr std::uint32_t largest_probe = 4096;
constexpr int punch_hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

Error backing_error(int code, const std::string& path, const std::string& hint) {
    return Error{code, "file=" + path, hint, ErrorKind::backend};
}

template <class Value> Value ask_block_device(int fd, unsigned long request) {
    Value value{};
    return ::ioctl(fd, request, &value) == 0 ? value : Value{};
}

std::uint32_t power_of_two_or_zero(std::uint64_t value) {
    return std::has_single_bit(value) && value <= (256U << 20) ? static_cast<std::uint32_t>(value)
                                                               : 0;
}

// A number below queue/ of the disk that `device` is or is a partition of.
std::optional<std::uint64_t> queue_attribute(dev_t device, const std::string& name) {
    const std::string sysfs =
        "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
    for (const char* queue : {"/queue/", "/../queue/"}) {
        std::string path = sysfs;
        path += queue;
        path += name;
        std::ifstream file(path);
        std::uint64_t value = 0;
        if (file >> value)
            return value;
    }
    return std::nullopt;
}

// The kernel's loop driver takes no lock on its backing file, so it has to be looked for.
std::string kernel_loop_on(const std::string& path) {
    std::error_code error;
    const auto real = std::filesystem::canonical(path, error);
    std::filesystem::directory_iterator block("/sys/block", error);
    for (; !error && block != std::filesystem::directory_iterator{}; block.increment(error)) {
        std::ifstream file(block->path() / "loop" / "backing_file");
        std::string backing;
        if (std::getline(file, backing) && backing == real.string())
            return block->path().filename().string();
    }
    return {};
}

// What must be known before open(): opening a FIFO would wait for its other end.
Result<bool> is_block_device(const std::string& path) {
    struct stat file {};
    if (::stat(path.c_str(), &file) < 0) {
        const bool missing = errno == ENOENT || errno == ENOTDIR;
        return Error{errno, "file=" + path,
                     missing ? "check the path, or create it with truncate -s SIZE " + path : ""};
    }
    if (S_ISBLK(file.st_mode))
        return true;
    if (S_ISREG(file.st_mode))
        return false;
    return backing_error(S_ISDIR(file.st_mode) ? EISDIR : ENOTBLK, path,
                         "use a regular file or a block device");
}

Result<UniqueFd> open_file(const BackingRequest& request, int extra_flags) {
    const int access = request.read_only ? O_RDONLY : O_RDWR;
    UniqueFd fd{::open(request.path.c_str(), access | O_CLOEXEC | extra_flags)};
    if (fd)
        return fd;
    switch (errno) {
    case EBUSY:
        return Error{EBUSY, "file=" + request.path,
                     "unmount it, or stop what else uses it: lsblk " + request.path};
    case EACCES:
    case EPERM:
    case EROFS:
        return Error{errno, "file=" + request.path,
                     request.read_only ? "run as root" : "run as root, or use --read-only"};
    default:
        return Error{errno, "file=" + request.path};
    }
}

Result<UniqueFd> open_block_device(const BackingRequest& request) {
    auto exclusive = open_file(request, O_EXCL);
    if (!exclusive || !request.read_only)
        return exclusive;
    // Nobody writes to it. Several readers may share it, so the claim is not kept.
    return open_file(request, 0);
}

Result<UniqueFd> open_regular_file(const BackingRequest& request) {
    auto fd = open_file(request, 0);
    if (!fd)
        return fd;
    const std::string loop = kernel_loop_on(request.path);
    if (!loop.empty())
        return Error{EBUSY, "file=" + request.path,
                     "it backs /dev/" + loop + "; detach that: losetup -d /dev/" + loop};
    if (::flock(fd->get(), (request.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
        const bool locked = errno == EWOULDBLOCK;
        return Error{locked ? EBUSY : errno, "file=" + request.path,
                     locked ? "another server uses it; see ublkd list" : "cannot lock it"};
    }
    return fd;
}

// For file systems that do not tell: the smallest aligned read that direct I/O takes.
std::uint32_t probe_offset_alignment(int fd, std::uint32_t fallback) {
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    std::unique_ptr<void, Free> buffer{std::aligned_alloc(largest_probe, largest_probe)};
    for (std::uint32_t length = 512; buffer && length <= largest_probe; length *= 2)
        if (::pread(fd, buffer.get(), length, 0) >= 0)
            return length;
    return fallback;
}

// Switches direct I/O on and learns its alignment; leaves the file buffered if it has none.
void use_direct_io(Backing& backing, std::uint32_t block_size) {
    struct statx answer {};
    const int fd = backing.fd.get();
    const bool told = ::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &answer) == 0 &&
                      (answer.stx_mask & STATX_DIOALIGN);
    const bool impossible = told && answer.stx_dio_offset_align == 0;
    const int flags = ::fcntl(fd, F_GETFL);
    if (impossible || ::fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
        return;

    backing.direct = true;
    if (told) {
        backing.offset_alignment = std::max(answer.stx_dio_offset_align, 512U);
        backing.memory_alignment = answer.stx_dio_mem_align;
    } else {
        backing.offset_alignment = probe_offset_alignment(fd, block_size);
    }
}

// Tries a range behind the end, where there is nothing to punch: a file system refuses a mode that
// it does not know before it looks at the range.
bool can_punch_holes(const Backing& backing) {
    const auto end = static_cast<off_t>((backing.size + 0xfffff) & ~std::uint64_t{0xfffff});
    return ::fallocate(backing.fd.get(), punch_hole, end, 1 << 20) == 0 ||
           (errno != EOPNOTSUPP && errno != ENOSYS);
}

void describe_file(Backing& backing, const struct stat& file, bool read_only) {
    backing.size = static_cast<std::uint64_t>(file.st_size);
    backing.rotational = queue_attribute(file.st_dev, "rotational").value_or(0) != 0;
    const auto block = static_cast<std::uint64_t>(file.st_blksize);
    backing.physical_block_size = power_of_two_or_zero(block);

    if (!read_only && can_punch_holes(backing)) {
        backing.discard_mode = punch_hole;
        backing.discard_granularity = backing.physical_block_size;
        backing.max_discard_bytes = longest_discard;
    }
}

void describe_block_device(Backing& backing, dev_t device, bool read_only) {
    const int fd = backing.fd.get();
    backing.size = ask_block_device<std::uint64_t>(fd, BLKGETSIZE64);
    backing.offset_alignment =
        static_cast<std::uint32_t>(std::max(ask_block_device<int>(fd, BLKSSZGET), 512));
    backing.physical_block_size = power_of_two_or_zero(ask_block_device<unsigned>(fd, BLKPBSZGET));
    backing.io_min = power_of_two_or_zero(ask_block_device<unsigned>(fd, BLKIOMIN));
    backing.io_opt = power_of_two_or_zero(ask_block_device<unsigned>(fd, BLKIOOPT));
    backing.rotational = ask_block_device<unsigned short>(fd, BLKROTATIONAL) != 0;

    // What fallocate offers for a discard is zeroing by unmapping, which not every disk can.
    const bool zeroes = queue_attribute(device, "write_zeroes_max_bytes").value_or(0) != 0;
    const std::uint64_t longest = queue_attribute(device, "discard_max_bytes").value_or(0);
    if (read_only || longest == 0 || !zeroes)
        return;
    backing.discard_mode = punch_hole;
    backing.discard_granularity =
        power_of_two_or_zero(queue_attribute(device, "discard_granularity").value_or(0));
    backing.max_discard_bytes =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(longest, longest_discard));
}

} // namespace

Result<Backing> open_backing(const BackingRequest& request) {
    auto block_device = is_block_device(request.path);
    if (!block_device)
        return block_device.error();
    auto fd = *block_device ? open_block_device(request) : open_regular_file(request);
    if (!fd)
        return fd.error();

    Backing backing;
    backing.fd = *std::move(fd);
    backing.block_device = *block_device;
    backing.read_only = request.read_only;
    struct stat file {};
    if (::fstat(backing.fd.get(), &file) < 0)
        return Error{errno, "fstat " + request.path};
    if (backing.block_device)
        describe_block_device(backing, file.st_rdev, request.read_only);
    else
        describe_file(backing, file, request.read_only);
    if (backing.size == 0)
        return backing_error(ENODATA, request.path,
                             "it is empty; truncate -s SIZE makes it larger");
    if (request.direct)
        use_direct_io(backing, static_cast<std::uint32_t>(file.st_blksize));
    return backing;
}

Result<std::uint64_t> current_size(const Backing& backing) {
    if (backing.block_device) {
        std::uint64_t size = 0;
        if (::ioctl(backing.fd.get(), BLKGETSIZE64, &size) < 0)
            return Error{errno, "ask for the size"};
        return size;
    }
    struct stat file {};
    if (::fstat(backing.fd.get(), &file) < 0)
        return Error{errno, "ask for the size"};
    return static_cast<std::uint64_t>(file.st_size);
}

Result<void> extend(const Backing& backing, std::uint64_t size) {
    const std::string step = "make it " + std::to_string(size) + " bytes long";
    if (backing.block_device)
        return Error{ENOSPC, step, "a block device has the size it has; use auto",
                     ErrorKind::backend};
    if (backing.read_only)
        return Error{EROFS, step, "the device is read-only, so its file is not changed"};
    if (::ftruncate(backing.fd.get(), static_cast<off_t>(size)) < 0)
        return Error{errno, step, errno == EFBIG ? "the file system takes no such file" : "",
                     ErrorKind::backend};
    return {};
}

} // namespace ublk::targets
