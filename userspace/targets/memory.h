// SPDX-License-Identifier: GPL-2.0-or-later
// Memory holds the bytes of a disk that is gone when it is deleted: a memfd and its mapping, on
// huge pages if asked for.
#ifndef UBLK_TARGETS_MEMORY_H
#define UBLK_TARGETS_MEMORY_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ublk/result.h>
#include <ublk/unique_fd.h>

namespace ublk::targets {

enum class Pages { ordinary, huge };

class Memory {
public:
    // Empty. Errors speak of `size` and `hugepages` as the user gave them.
    static Result<std::unique_ptr<Memory>> create(Pages pages);

    // The new bytes are zero. While others are at work in the old ones; once at a time.
    Result<void> grow_to(std::uint64_t size);

    std::byte* at(std::uint64_t offset) const noexcept {
        return data_.load(std::memory_order_relaxed) + offset;
    }
    // fallocate() on it gives memory back.
    int descriptor() const noexcept { return fd_.get(); }
    std::uint32_t page_size() const noexcept { return page_size_; }

private:
    class Mapping {
    public:
        explicit Mapping(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}
        Mapping(Mapping&& other) noexcept;
        Mapping& operator=(Mapping&&) = delete;
        ~Mapping();
        std::span<std::byte> bytes() const noexcept { return bytes_; }

    private:
        std::span<std::byte> bytes_;
    };

    Memory(UniqueFd fd, Pages pages, std::uint32_t page_size) noexcept;
    Error no_room_for(int error, std::uint64_t size, std::uint64_t length) const;

    UniqueFd fd_;
    Pages pages_;
    std::uint32_t page_size_;
    // The last one is of the whole memfd. Others may still be at work in those before it, which
    // show parts of the same pages.
    std::vector<Mapping> mappings_{};
    std::atomic<std::byte*> data_{nullptr};
};

} // namespace ublk::targets

#endif
