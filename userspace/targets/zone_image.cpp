// SPDX-License-Identifier: GPL-2.0-or-later
// Makes files with zones, and reads them.
#include "zone_image.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zone_format.h"

namespace ublk::targets {

namespace {

using zone_format::Block;
using zone_format::records_per_block;

Error file_error(int code, const std::string& path, const std::string& hint) {
    return Error{code, "file=" + path, hint, ErrorKind::backend};
}

Error in_file(const std::string& path, Error error) {
    error.step = "file=" + path + ": " + error.step;
    return error;
}

// Whether the file ends too early is told by ENODATA.
int read_fully(int fd, std::span<std::byte> buffer, std::uint64_t offset) {
    while (!buffer.empty()) {
        const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : ENODATA;
        buffer = buffer.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return 0;
}

Result<Block> read_block(int fd, const std::string& path, std::uint64_t offset) {
    Block block{};
    const int error = read_fully(fd, block, offset);
    if (error == ENODATA)
        return file_error(EMEDIUMTYPE, path, "give a new file, or one that has zones");
    if (error)
        return Error{error, "read " + path};
    return block;
}

// What lies at one of a block's two places.
Result<zone_format::TableBlock> read_table_block(int fd, const std::string& path,
                                                 std::uint32_t block, std::uint64_t offset) {
    auto raw = read_block(fd, path, offset);
    if (!raw)
        return raw.error();
    auto table = zone_format::decode_table_block(block, *raw);
    if (!table)
        return in_file(path, table.error());
    if (table->sequence && zone_format::place_of(block, table->sequence) != offset)
        return file_error(EUCLEAN, path, "restore it from a copy");
    return table;
}

// Of the two the one that was written last, and wholly.
Result<zone_format::TableBlock> load_block(int fd, const std::string& path, std::uint32_t block) {
    auto even = read_table_block(fd, path, block, zone_format::place_of(block, 0));
    auto odd = read_table_block(fd, path, block, zone_format::place_of(block, 1));
    if (!even && !odd)
        return even.error();
    if (!even || !odd)
        std::fprintf(stderr, "zoned: file=%s: a crash has torn a change of zones, which is lost\n",
                     path.c_str());
    if (!even || (odd && odd->sequence > even->sequence))
        return odd;
    return even;
}

Result<void> load_table(ZoneImage& image, const std::string& path) {
    const ZoneLayout& layout = image.layout;
    image.records.reserve(layout.zones);
    for (std::uint32_t block = 0; block < zone_format::table_blocks(layout.zones); ++block) {
        const auto table = load_block(image.metadata.get(), path, block);
        if (!table)
            return table.error();
        image.sequences.push_back(table->sequence);
        for (const ZoneRecord& record : table->records) {
            const auto zone = static_cast<std::uint32_t>(image.records.size());
            if (zone == layout.zones)
                break;
            if (!zone_format::is_possible(layout, zone, record))
                return file_error(EUCLEAN, path, "restore it from a copy");
            image.records.push_back(record);
        }
    }
    return {};
}

// The same file without O_DIRECT.
Result<UniqueFd> open_metadata(const Backing& backing, bool read_only) {
    const std::string path = "/proc/self/fd/" + std::to_string(backing.fd.get());
    UniqueFd fd{::open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC)};
    if (!fd)
        return Error{errno, "open " + path, errno == ENOENT ? "is /proc mounted?" : ""};
    return fd;
}

Result<void> check_length(const ZoneImage& image, const std::string& path) {
    const std::uint64_t wanted = zone_format::file_size(image.layout);
    if (image.backing.size >= wanted)
        return {};
    return file_error(ENODATA, path,
                      "it was cut; its lost zones read as zeroes after truncate -s " +
                          std::to_string(wanted) + " " + path);
}

// A directory entry is durable when its directory is.
Result<NewFile> remember(const std::filesystem::path& path) {
    const std::string parent = path.has_parent_path() ? path.parent_path().string() : ".";
    UniqueFd directory{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!directory)
        return Error{errno, "open " + parent};
    if (::fsync(directory.get()) < 0)
        return Error{errno, "sync " + parent};
    return NewFile{std::move(directory), path.filename().string()};
}

Error cannot_make(int error, const std::string& path) {
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return Error{error, "file=" + path, "check the path"};
    case EEXIST:
        return Error{EBUSY, "file=" + path, "somebody else makes it at this moment"};
    case ENOSPC:
    case EDQUOT:
        return file_error(error, path, "make room for the table of zones");
    case EFBIG:
        return file_error(error, path, "its file system has no files of that size");
    default:
        return Error{error, "file=" + path};
    }
}

// The superblock comes last: before it is there, the file is no disk.
int write_image(int fd, const ZoneLayout& layout) {
    // So that no commit finds the file system full.
    const auto data = static_cast<off_t>(zone_format::data_offset(layout.zones));
    if (const int error = ::posix_fallocate(fd, 0, data))
        return error;
    if (::fdatasync(fd) < 0)
        return errno;
    if (const int error = write_fully(fd, zone_format::encode_superblock(layout), 0))
        return error;
    return ::fsync(fd) < 0 ? errno : 0;
}

// A file of the right length that is still no disk, and is nobody's.
struct BlankFile {
    NewFile made; // none if it was there, and empty: then it is not ours to remove
    UniqueFd fd;
};

Result<BlankFile> make_blank_file(const std::string& path, const ZoneLayout& layout) {
    BlankFile blank{{},
                    UniqueFd{::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644)}};
    if (blank.fd) {
        auto entry = remember(path);
        if (!entry)
            return entry.error();
        blank.made = std::move(*entry);
    } else if (errno == EEXIST) {
        blank.fd = UniqueFd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
    }
    if (!blank.fd)
        return cannot_make(errno, path);
    const int fd = blank.fd.get();
    struct stat file {};
    if (::flock(fd, LOCK_EX | LOCK_NB) < 0 || ::fstat(fd, &file) < 0 || file.st_size)
        return cannot_make(EEXIST, path);
    if (::ftruncate(fd, static_cast<off_t>(zone_format::file_size(layout))) < 0)
        return cannot_make(errno, path);
    ::flock(fd, LOCK_UN); // so that it can be locked as a backing is
    return blank;
}

// Somebody can have had it before it was locked as a backing.
bool is_blank(int fd, const BlankFile& blank) {
    struct stat one {
    }, other{};
    Block block{};
    return ::fstat(fd, &one) == 0 && ::fstat(blank.fd.get(), &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino &&
           read_fully(fd, block, 0) == 0 && block == Block{};
}

struct OpenFile {
    Backing backing;
    UniqueFd metadata;
};

Result<OpenFile> open_zone_file(const BackingRequest& request) {
    auto backing = open_backing(request);
    if (!backing)
        return backing.error();
    auto metadata = open_metadata(*backing, request.read_only);
    if (!metadata)
        return metadata.error();
    return OpenFile{*std::move(backing), *std::move(metadata)};
}

// From here to its end the file is locked: it becomes a disk that nobody else can have.
Result<OpenFile> fill_blank_file(BlankFile& blank, const BackingRequest& request,
                                 const ZoneLayout& layout) {
    auto file = open_zone_file(request);
    if (file && is_blank(file->metadata.get(), blank)) {
        const int error = write_image(file->metadata.get(), layout);
        if (!error)
            return file;
        static_cast<void>(!::ftruncate(blank.fd.get(), 0)); // the error is what counts
        return cannot_make(error, request.path);
    }
    if (file || file.error().code == EBUSY) {
        blank.made.keep(); // it is somebody else's by now
        return cannot_make(EEXIST, request.path);
    }
    static_cast<void>(!::ftruncate(blank.fd.get(), 0));
    return file;
}

Result<ZoneImage> load_image(OpenFile file, const BackingRequest& request) {
    auto superblock = read_block(file.metadata.get(), request.path, 0);
    if (!superblock)
        return superblock.error();
    auto layout = zone_format::decode_superblock(*superblock);
    if (!layout)
        return in_file(request.path, layout.error());

    ZoneImage image;
    image.backing = std::move(file.backing);
    image.metadata = std::move(file.metadata);
    image.layout = *layout;
    image.read_only = request.read_only;
    if (auto complete = check_length(image, request.path); !complete)
        return complete.error();
    if (auto loaded = load_table(image, request.path); !loaded)
        return loaded.error();
    return image;
}

} // namespace

NewFile::~NewFile() {
    if (directory_)
        ::unlinkat(directory_.get(), name_.c_str(), 0);
}

int write_fully(int fd, std::span<const std::byte> data, std::uint64_t offset) {
    while (!data.empty()) {
        const ssize_t count = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : EIO;
        data = data.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return 0;
}

Result<ZoneFileState> look_at_zone_file(const std::string& path) {
    struct stat file {};
    if (::stat(path.c_str(), &file) < 0) {
        if (errno == ENOENT)
            return ZoneFileState::missing;
        return Error{errno, "file=" + path};
    }
    if (!S_ISREG(file.st_mode))
        return file_error(S_ISDIR(file.st_mode) ? EISDIR : ENOTSUP, path,
                          "zones are kept in regular files only");
    return file.st_size == 0 ? ZoneFileState::empty : ZoneFileState::used;
}

Result<ZoneImage> make_zones(const BackingRequest& request, const ZoneLayout& layout) {
    auto blank = make_blank_file(request.path, layout);
    if (!blank)
        return blank.error();
    auto file = fill_blank_file(*blank, request, layout);
    if (!file)
        return file.error();
    auto image = load_image(*std::move(file), request);
    if (image)
        image->file = std::move(blank->made);
    return image;
}

Result<ZoneImage> find_zones(const BackingRequest& request) {
    auto file = open_zone_file(request);
    if (!file)
        return file.error();
    return load_image(*std::move(file), request);
}

} // namespace ublk::targets
