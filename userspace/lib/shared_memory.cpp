// SPDX-License-Identifier: MIT
// Maps a file whose pages the driver can find in requests: hugetlbfs and tmpfs alone let them be
// pinned for as long as a device lives.
#include <ublk/shared_memory.h>

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <ublk/unique_fd.h>

namespace ublk {

namespace {

constexpr std::uint64_t largest = std::uint64_t{4} << 30; // what the driver takes

std::string step_for(const std::string& path) { return "shared memory " + path; }

Result<std::size_t> check_file(int fd, const std::string& path) {
    struct statfs system {};
    struct stat file {};
    if (::fstatfs(fd, &system) < 0 || ::fstat(fd, &file) < 0)
        return Error{errno, step_for(path)};
    if (system.f_type != HUGETLBFS_MAGIC && system.f_type != TMPFS_MAGIC)
        return Error{EINVAL, step_for(path),
                     "use a file on hugetlbfs or in /dev/shm, or /proc/PID/fd/N of a memfd",
                     ErrorKind::usage};
    const auto size = static_cast<std::uint64_t>(file.st_size);
    if (!S_ISREG(file.st_mode) || size == 0 || size > largest ||
        size % static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)))
        return Error{EINVAL, step_for(path),
                     "it must be a file of whole pages, not empty and of 4G at most",
                     ErrorKind::usage};
    return static_cast<std::size_t>(size);
}

bool is_refused(int error) { return error == EACCES || error == EPERM || error == EROFS; }

} // namespace

Result<SharedMemory> SharedMemory::map(const std::string& path) {
    SharedFor use = SharedFor::reads_and_writes;
    UniqueFd fd{::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK)};
    if (!fd && is_refused(errno)) {
        use = SharedFor::writes;
        fd = UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    }
    if (!fd)
        return Error{errno, step_for(path), "create it with the size that the users will map"};
    Result<std::size_t> size = check_file(fd.get(), path);
    if (!size)
        return size.error();
    // Only a memfd that was made for it takes seals.
    static_cast<void>(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK));

    void* data = MAP_FAILED;
    if (use == SharedFor::reads_and_writes)
        data = ::mmap(nullptr, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (data == MAP_FAILED && (use == SharedFor::writes || is_refused(errno))) {
        use = SharedFor::writes;
        data = ::mmap(nullptr, *size, PROT_READ, MAP_SHARED, fd.get(), 0);
    }
    if (data == MAP_FAILED)
        return Error{errno, step_for(path),
                     errno == ENOMEM ? "are there enough free huge pages? see vm.nr_hugepages" : "",
                     ErrorKind::backend};
    return SharedMemory{static_cast<std::byte*>(data), *size, use};
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)),
      use_(other.use_) {}

SharedMemory::~SharedMemory() {
    if (data_)
        ::munmap(data_, size_);
}

} // namespace ublk
