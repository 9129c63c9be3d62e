// SPDX-License-Identifier: GPL-2.0-or-later
// Opens the backing of a loop device: exclusively, and with direct I/O where that works.
#include "backing.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ublk::targets {

namespace {

constexpr std::uint32_t largest_probe = 4096;

Error backing_error(int code, const std::string& path, const std::string& hint) {
    return Error{code, "file=" + path, hint, ErrorKind::backend};
}

// A name, which may mean something else at any moment, and what it meant when it was looked up.
struct Found {
    UniqueFd place{}; // O_PATH
    struct stat status {};

    bool is_block_device() const { return S_ISBLK(status.st_mode); }
};

// Without opening it: opening a FIFO would wait for its other end.
Result<Found> look_up(const std::string& path) {
    Found found{UniqueFd{::open(path.c_str(), O_PATH | O_CLOEXEC)}, {}};
    if (!found.place || ::fstat(found.place.get(), &found.status) < 0) {
        const bool missing = errno == ENOENT || errno == ENOTDIR;
        return Error{errno, "file=" + path,
                     missing ? "check the path, or create it with truncate -s SIZE " + path : ""};
    }
    const auto mode = found.status.st_mode;
    if (S_ISBLK(mode) || S_ISREG(mode))
        return found;
    return backing_error(S_ISDIR(mode) ? EISDIR : ENOTBLK, path,
                         "use a regular file or a block device");
}

// The kernel refuses alike whom it does not know and what must not be written.
std::string why_forbidden(const Found& found, const BackingRequest& request) {
    struct statx file {};
    if (!request.read_only && !found.is_block_device() &&
        ::statx(found.place.get(), "", AT_EMPTY_PATH, STATX_TYPE, &file) == 0) {
        if (file.stx_attributes & STATX_ATTR_IMMUTABLE)
            return "it is immutable: chattr -i " + request.path + ", or use --read-only";
        if (file.stx_attributes & STATX_ATTR_APPEND)
            return "it can only be appended to: chattr -a " + request.path + ", or use --read-only";
        if (file.stx_attributes & STATX_ATTR_VERITY)
            return "fs-verity keeps it as it is; use --read-only";
    }
    return request.read_only ? "run as root" : "run as root, or use --read-only";
}

Error cannot_open(int error, const Found& found, const BackingRequest& request) {
    const std::string step = "file=" + request.path;
    switch (error) {
    case EBUSY:
        return Error{EBUSY, step, "unmount it, or stop what else uses it: lsblk " + request.path};
    case ETXTBSY:
        return Error{EBUSY, step, "the kernel runs it, or swaps to it; end that, or swapoff"};
    case ENOMEDIUM:
        return backing_error(error, request.path, "there is no medium in it");
    case EACCES:
    case EPERM:
    case EROFS:
        return Error{error, step, why_forbidden(found, request)};
    default:
        return Error{error, step};
    }
}

// What was looked up, whatever its name means by now.
Result<UniqueFd> open_found(const Found& found, const BackingRequest& request, int extra_flags) {
    const std::string link = "/proc/self/fd/" + std::to_string(found.place.get());
    const int access = request.read_only ? O_RDONLY : O_RDWR;
    UniqueFd fd{::open(link.c_str(), access | O_CLOEXEC | extra_flags)};
    if (fd)
        return fd;
    if (errno == ENOENT)
        return Error{errno, "open " + link, "is /proc mounted?"};
    return cannot_open(errno, found, request);
}

Result<UniqueFd> open_block_device(const Found& found, const BackingRequest& request) {
    auto exclusive = open_found(found, request, O_EXCL);
    if (!exclusive || !request.read_only)
        return exclusive;
    // Nobody writes to it. Several readers may share it, so the claim is not kept.
    return open_found(found, request, 0);
}

Result<UniqueFd> open_regular_file(const Found& found, const BackingRequest& request) {
    auto fd = open_found(found, request, 0);
    if (!fd)
        return fd;
    if (::flock(fd->get(), (request.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
        const bool locked = errno == EWOULDBLOCK;
        return Error{locked ? EBUSY : errno, "file=" + request.path,
                     locked ? "another server uses it; see ublkd list" : "cannot lock it"};
    }
    return fd;
}

Result<void> check_kernel_loops(const Identity& itself, const BackingRequest& request) {
    const std::string loop =
        kernel_loop_on(itself, request.read_only ? LoopsToFind::writers : LoopsToFind::all);
    if (loop.empty())
        return {};
    return Error{EBUSY, "file=" + request.path,
                 "it backs /dev/" + loop + "; detach that: losetup -d /dev/" + loop};
}

// The smallest aligned read, from `least` on, that direct I/O takes; 0 if it takes none. What
// open() allows may yet fail, on an overlay over tmpfs all of it. A bad sector says nothing about
// that.
std::uint32_t probe_direct_reads(int fd, std::uint32_t least) {
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    std::unique_ptr<void, Free> buffer{std::aligned_alloc(largest_probe, largest_probe)};
    for (std::uint32_t length = least; buffer && length <= largest_probe; length *= 2)
        if (::pread(fd, buffer.get(), length, 0) >= 0 || (errno != EINVAL && errno != EOPNOTSUPP))
            return length;
    return 0;
}

// Switches direct I/O on and learns its alignment; leaves the file buffered if it has none.
void use_direct_io(Backing& backing) {
    struct statx answer {};
    Properties& properties = backing.properties;
    const int fd = backing.fd.get();
    const bool told = ::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &answer) == 0 &&
                      (answer.stx_mask & STATX_DIOALIGN);
    const int flags = ::fcntl(fd, F_GETFL);
    if ((told && answer.stx_dio_offset_align == 0) || ::fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
        return;
    const std::uint32_t least =
        std::max(told ? answer.stx_dio_offset_align : 0U, properties.offset_alignment);
    const std::uint32_t alignment = probe_direct_reads(fd, least);
    if (alignment == 0) {
        ::fcntl(fd, F_SETFL, flags);
        return;
    }
    backing.direct = true;
    properties.offset_alignment = alignment;
    // The driver knows no others.
    if (told && std::has_single_bit(answer.stx_dio_mem_align) &&
        answer.stx_dio_mem_align <= largest_probe)
        properties.memory_alignment = answer.stx_dio_mem_align;
}

Result<void> describe(Backing& backing, const Found& found, const BackingRequest& request) {
    const int fd = backing.fd.get();
    auto size = current_size(backing);
    if (!size)
        return size.error();
    backing.size = *size;
    auto properties =
        backing.block_device
            ? properties_of(ask_disk(fd, found.status.st_rdev, request.read_only), request)
            : properties_of(ask_file(fd, request.read_only), request);
    if (!properties)
        return properties.error();
    backing.properties = *std::move(properties);
    if (backing.size == 0)
        return backing_error(ENODATA, request.path, "it is empty; is there a medium in it?");
    if (request.direct)
        use_direct_io(backing);
    if (request.direct && !backing.direct)
        backing.properties.remarks.emplace_back("no direct I/O here, using the page cache");
    return {};
}

} // namespace

bool Backing::may_try_buffered(int result) const noexcept {
    if (!direct || (result != -EINVAL && result != -EOPNOTSUPP))
        return false;
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags & O_DIRECT) {
        ::fcntl(fd.get(), F_SETFL, flags & ~O_DIRECT);
        std::fprintf(stderr, "direct I/O fails (%s), using the page cache from now on\n",
                     ::strerrordesc_np(-result));
    }
    return true;
}

bool Backing::is_direct() const noexcept {
    return direct && (::fcntl(fd.get(), F_GETFL) & O_DIRECT);
}

Result<Backing> open_backing(const BackingRequest& request) {
    auto found = look_up(request.path);
    if (!found)
        return found.error();
    Backing backing;
    backing.block_device = found->is_block_device();
    backing.read_only = request.read_only;
    auto fd = backing.block_device ? open_block_device(*found, request)
                                   : open_regular_file(*found, request);
    if (!fd)
        return fd.error();
    backing.fd = *std::move(fd);
    auto things = identify(backing.fd.get());
    if (!things)
        return things.error();
    backing.use = {request.read_only ? BackingUse::Access::reads : BackingUse::Access::writes,
                   *std::move(things), "file=" + request.path};
    if (auto free = check_kernel_loops(backing.use.things.front(), request); !free)
        return free.error();
    if (auto described = describe(backing, *found, request); !described)
        return described.error();
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
    if (::ftruncate(backing.fd.get(), static_cast<off_t>(size)) == 0)
        return {};
    switch (errno) {
    case EFBIG:
        return Error{errno, step, "the file system takes no such file", ErrorKind::backend};
    case EPERM:
        return Error{errno, step, "it is sealed against growing", ErrorKind::backend};
    default:
        return Error{errno, step, "", ErrorKind::backend};
    }
}

} // namespace ublk::targets
