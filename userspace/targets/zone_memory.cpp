// SPDX-License-Identifier: GPL-2.0-or-later
// Zones in memory, gone when the disk is deleted. Nothing is ever in a cache, so nothing is to be
// committed.
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <linux/falloc.h>

#include "memory.h"
#include "zone_store.h"

namespace ublk::targets {

namespace {

class InMemory final : public ZoneStore {
public:
    explicit InMemory(std::unique_ptr<Memory> memory)
        : memory_(std::move(memory)), file_(memory_->descriptor()) {}

    void register_files(FileTable& files) override { file_ = files.add(memory_->descriptor()); }
    Persistence persistence() const override { return Persistence::process; }
    void describe(Geometry&) const override {}

    Async<int> read(Ring, std::span<std::byte> buffer, std::uint64_t offset) override {
        std::memcpy(buffer.data(), memory_->at(offset), buffer.size());
        return 0;
    }
    Async<int> write(Ring, std::span<const std::byte> data, std::uint64_t offset,
                     Durability) override {
        std::memcpy(memory_->at(offset), data.data(), data.size());
        return 0;
    }
    Async<int> forget(Ring ring, std::uint64_t offset, std::uint64_t length) override {
        // Freeing much memory takes long: not on the queue's thread.
        co_return co_await ring.allocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                                         length);
    }

    void changed(std::uint32_t) override {}
    Async<int> commit(Ring, const Zones&) override { return 0; }
    Result<void> close(const Zones&) override { return {}; }

private:
    std::unique_ptr<Memory> memory_;
    File file_;
};

} // namespace

Result<std::unique_ptr<ZoneStore>> open_zones_in_memory(const ZoneLayout& layout) {
    auto memory = Memory::create(Pages::ordinary);
    if (!memory)
        return memory.error();
    if (auto grown = (*memory)->grow_to(layout.size()); !grown)
        return grown.error();
    return std::unique_ptr<ZoneStore>{std::make_unique<InMemory>(*std::move(memory))};
}

} // namespace ublk::targets
