// SPDX-License-Identifier: GPL-2.0-or-later
// Asks statx, file handles, sysfs and the kernel's loop driver.
#include "identity.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include <fcntl.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "overlay.h"

namespace ublk::targets {

namespace {

constexpr std::uint64_t sector = 512;
constexpr unsigned deepest_stack = 16;
constexpr std::array<long, 6> magics_with_handles{EXT4_SUPER_MAGIC,  XFS_SUPER_MAGIC,
                                                  BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
                                                  TMPFS_MAGIC,       NFS_SUPER_MAGIC};

std::optional<std::string> read_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line))
        return std::nullopt;
    return line;
}

std::uint64_t read_number(const std::string& path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    return file >> value ? value : 0;
}

std::string in_hex(const unsigned char* bytes, std::size_t count) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

// Other file systems make handles anew each time that they read an inode.
bool has_lasting_handles(const struct statfs& system) {
    return std::any_of(magics_with_handles.begin(), magics_with_handles.end(), [&](long magic) {
        return static_cast<unsigned long>(system.f_type) == static_cast<unsigned long>(magic);
    });
}

std::string handle_of(int descriptor) {
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    std::unique_ptr<file_handle, Free> handle{
        static_cast<file_handle*>(std::calloc(1, sizeof(file_handle) + MAX_HANDLE_SZ))};
    if (!handle)
        return {};
    handle->handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;
    if (::name_to_handle_at(descriptor, "", handle.get(), &mount, AT_EMPTY_PATH) < 0)
        return {};
    return std::to_string(handle->handle_type) + ":" +
           in_hex(handle->f_handle, handle->handle_bytes);
}

// No more than is exact in whatever reads JSON.
std::uint64_t number_of(const fsid_t& id) {
    std::uint64_t value = 0;
    static_assert(sizeof value == sizeof id);
    std::memcpy(&value, &id, sizeof value);
    return value & ((std::uint64_t{1} << 53) - 1);
}

Result<Identity> identify_file(int descriptor) {
    struct stat file {};
    if (::fstat(descriptor, &file) < 0)
        return Error{errno, "ask what the file is"};
    Identity identity;
    identity.device = file.st_dev;
    identity.number = file.st_ino;
    identity.length = UINT64_MAX; // it can grow

    struct statx more {};
    if (::statx(descriptor, "", AT_EMPTY_PATH, STATX_BTIME, &more) == 0 &&
        (more.stx_mask & STATX_BTIME))
        identity.birth = more.stx_btime.tv_sec * 1'000'000 + more.stx_btime.tv_nsec / 1000;
    struct statfs system {};
    if (::fstatfs(descriptor, &system) == 0) {
        identity.file_system = number_of(system.f_fsid);
        if (has_lasting_handles(system))
            identity.handle = handle_of(descriptor);
    }
    return identity;
}

// A block device in sysfs.
struct Node {
    std::string directory; // empty: there is none
    std::string disk;      // the directory of the disk that it is on, or is
    std::string name;      // the disk's
    bool is_partition = false;
};

Node find_node(dev_t device, const KernelPaths& paths) {
    std::error_code error;
    const auto directory =
        std::filesystem::canonical(paths.sys + "/dev/block/" + std::to_string(major(device)) + ":" +
                                       std::to_string(minor(device)),
                                   error);
    if (error)
        return {};
    const bool is_partition = std::filesystem::exists(directory / "partition", error);
    const auto disk = is_partition ? directory.parent_path() : directory;
    return {directory.string(), disk.string(), disk.filename().string(), is_partition};
}

// "8:16" as sysfs writes it.
std::optional<dev_t> read_device(const std::string& path) {
    const auto line = read_line(path);
    if (!line)
        return std::nullopt;
    unsigned high = 0;
    unsigned low = 0;
    const char* end = line->data() + line->size();
    const auto [colon, bad] = std::from_chars(line->data(), end, high);
    if (bad != std::errc{} || colon == end || *colon != ':' ||
        std::from_chars(colon + 1, end, low).ec != std::errc{})
        return std::nullopt;
    return makedev(high, low);
}

// What a loop device shows: a file, or another block device.
struct LoopFile {
    Identity identity{};
    bool read_only = false;
};

Identity first_of_disk(dev_t device, const KernelPaths& paths);

LoopFile loop_file(const struct stat& file, const KernelPaths& paths) {
    if (S_ISBLK(file.st_mode))
        return {first_of_disk(file.st_rdev, paths), false};
    LoopFile found;
    found.identity.device = file.st_dev;
    found.identity.number = file.st_ino;
    return found;
}

// As the driver says, whatever has become of the file's name and wherever that was.
std::optional<LoopFile> ask_loop_driver(const std::string& name, const KernelPaths& paths) {
    const UniqueFd loop{
        ::open((paths.dev + "/" + name).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    loop_info64 info{};
    if (!loop || ::ioctl(loop.get(), LOOP_GET_STATUS64, &info) < 0)
        return std::nullopt;
    struct stat file {};
    file.st_mode = info.lo_rdevice ? S_IFBLK : S_IFREG;
    file.st_dev = info.lo_device; // in the numbering of dev_t, as the next one
    file.st_rdev = info.lo_rdevice;
    file.st_ino = info.lo_inode;
    LoopFile found = loop_file(file, paths);
    found.read_only = info.lo_flags & LO_FLAGS_READ_ONLY;
    return found;
}

// Without the device's node, as in some containers.
std::optional<LoopFile> ask_sysfs_about_loop(const std::string& directory,
                                             const KernelPaths& paths) {
    const auto name = read_line(directory + "/loop/backing_file");
    struct stat file {};
    if (!name || ::stat(name->c_str(), &file) < 0)
        return std::nullopt;
    LoopFile found = loop_file(file, paths);
    found.read_only = read_number(directory + "/ro") != 0;
    return found;
}

std::optional<LoopFile> file_of_loop(const std::string& directory, const std::string& name,
                                     const KernelPaths& paths) {
    std::error_code error;
    if (!std::filesystem::exists(directory + "/loop/backing_file", error))
        return std::nullopt;
    auto file = ask_loop_driver(name, paths);
    if (!file)
        file = ask_sysfs_about_loop(directory, paths);
    if (!file)
        return std::nullopt;
    file->identity.start += read_number(directory + "/loop/offset");
    file->identity.length = read_number(directory + "/size") * sector;
    return file;
}

// The disk or partition itself.
Identity describe_disk(const Node& node, dev_t device) {
    Identity disk;
    disk.kind = Identity::Kind::disk;
    disk.device = device;
    disk.length = UINT64_MAX;
    if (node.directory.empty())
        return disk;
    disk.device = read_device(node.disk + "/dev").value_or(device);
    disk.number = read_number(node.disk + "/diskseq");
    disk.start = node.is_partition ? read_number(node.directory + "/start") * sector : 0;
    disk.length = read_number(node.directory + "/size") * sector;
    return disk;
}

Identity first_of_disk(dev_t device, const KernelPaths& paths) {
    return describe_disk(find_node(device, paths), device);
}

void add_disk(std::vector<Identity>& things, dev_t device, bool somewhere, unsigned depth,
              const KernelPaths& paths) {
    const Node node = find_node(device, paths);
    Identity disk = describe_disk(node, device);
    disk.somewhere = somewhere;
    things.push_back(disk);
    if (node.directory.empty())
        return;

    if (auto file = file_of_loop(node.disk, node.name, paths)) {
        file->identity.start += disk.start;
        file->identity.length = disk.length;
        file->identity.somewhere = somewhere;
        things.push_back(file->identity);
    }
    std::error_code error;
    std::filesystem::directory_iterator slave(node.disk + "/slaves", error);
    for (; !error && slave != std::filesystem::directory_iterator{}; slave.increment(error))
        if (const auto below = read_device(slave->path().string() + "/dev");
            below && depth < deepest_stack)
            add_disk(things, *below, true, depth + 1, paths);
}

} // namespace

std::vector<Identity> identify_disk(dev_t device, const KernelPaths& paths) {
    std::vector<Identity> things;
    add_disk(things, device, false, 0, paths);
    return things;
}

Result<std::vector<Identity>> identify(int descriptor, const KernelPaths& paths) {
    struct stat file {};
    if (::fstat(descriptor, &file) < 0)
        return Error{errno, "ask what the file is"};
    if (S_ISBLK(file.st_mode))
        return identify_disk(file.st_rdev, paths);
    auto itself = identify_file(descriptor);
    if (!itself)
        return itself.error();
    std::vector<Identity> things{*itself};
    if (const UniqueFd layer = open_in_layer(descriptor, paths.proc)) {
        if (auto below = identify_file(layer.get()))
            things.push_back(*below);
    }
    return things;
}

bool same_thing(const Identity& one, const Identity& other) {
    const auto differ = [](const auto& a, const auto& b, const auto& unknown) {
        return a != unknown && b != unknown && a != b;
    };
    return one.kind == other.kind && one.device == other.device &&
           !differ(one.number, other.number, std::uint64_t{0}) &&
           !differ(one.handle, other.handle, std::string{}) &&
           !differ(one.birth, other.birth, std::int64_t{0});
}

bool overlap(const Identity& one, const Identity& other) {
    const auto starts_before_end = [](const Identity& a, const Identity& b) {
        return a.start < b.start || a.start - b.start < b.length;
    };
    return starts_before_end(one, other) && starts_before_end(other, one);
}

std::string kernel_loop_on(const Identity& backing, LoopsToFind which, const KernelPaths& paths) {
    std::error_code error;
    std::filesystem::directory_iterator block(paths.sys + "/block", error);
    for (; !error && block != std::filesystem::directory_iterator{}; block.increment(error)) {
        std::string name = block->path().filename().string();
        if (!name.starts_with("loop"))
            continue;
        const auto found = file_of_loop(block->path().string(), name, paths);
        const bool meets =
            found && same_thing(found->identity, backing) &&
            (backing.kind == Identity::Kind::file || overlap(found->identity, backing));
        if (meets && (which == LoopsToFind::all || !found->read_only))
            return name;
    }
    return {};
}

} // namespace ublk::targets
