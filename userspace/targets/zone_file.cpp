// SPDX-License-Identifier: GPL-2.0-or-later
// Zones in a file, kept such that after a crash no write pointer claims data which are not there:
// data are on stable storage before a record that tells of them is written, and the record of a
// reset before anything new is written to the zone.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <linux/falloc.h>
#include <ublk/mutex.h>
#include <unistd.h>

#include "zone_format.h"
#include "zone_image.h"
#include "zone_store.h"

namespace ublk::targets {

namespace {

using zone_format::Block;
using zone_format::records_per_block;

// Which blocks of the table have to be written, and as what.
class Table {
public:
    Table(std::uint32_t zones, std::vector<std::uint64_t> sequences)
        : zones_(zones), sequences_(std::move(sequences)), changed_(sequences_.size()) {}

    // By any thread.
    void changed(std::uint32_t zone) { changed_[zone / records_per_block].store(true); }

    struct Placed {
        std::uint64_t place;
        Block data;
    };
    // What has changed, where it goes; a change that comes later is for the next time. By one
    // thread at a time.
    void take_changes(const Zones& zones, std::vector<Placed>& into) {
        into.clear();
        for (std::uint32_t block = 0; block < changed_.size(); ++block)
            if (changed_[block].exchange(false))
                into.push_back(encode(block, zones));
    }

private:
    Placed encode(std::uint32_t block, const Zones& zones) {
        const std::uint32_t first = block * records_per_block;
        const std::uint32_t count = std::min(records_per_block, zones_ - first);
        std::array<ZoneRecord, records_per_block> records{};
        for (std::uint32_t i = 0; i < count; ++i)
            records[i] = zones.record(first + i);
        const std::uint64_t sequence = ++sequences_[block];
        return {zone_format::place_of(block, sequence),
                zone_format::encode_table_block(block, sequence, records)};
    }

    std::uint32_t zones_;
    std::vector<std::uint64_t> sequences_;
    std::vector<std::atomic<bool>> changed_;
};

class InFile final : public ZoneStore {
public:
    explicit InFile(ZoneImage image)
        : image_(std::move(image)), table_(image_.layout.zones, std::move(image_.sequences)),
          data_offset_(zone_format::data_offset(image_.layout.zones)),
          data_(image_.backing.fd.get()), metadata_(image_.metadata.get()) {}

    void register_files(FileTable& files) override {
        data_ = files.add(image_.backing.fd.get());
        metadata_ = files.add(image_.metadata.get());
    }
    const Backing* backing() const override { return &image_.backing; }

    // Write pointers are in this process until they are committed.
    Persistence persistence() const override { return Persistence::flushed; }

    void describe(Geometry& geometry) const override {
        geometry.rotational = image_.backing.properties.rotational;
        geometry.volatile_cache = !image_.read_only;
        geometry.fua = !image_.read_only;
    }

    Async<int> read(Ring ring, std::span<std::byte> buffer, std::uint64_t offset) override {
        int result = co_await ring.read(data_, buffer, data_offset_ + offset);
        if (result < 0 && image_.backing.may_try_buffered(result))
            result = co_await ring.read(data_, buffer, data_offset_ + offset);
        co_return all_of(buffer.size(), result);
    }

    Async<int> write(Ring ring, std::span<const std::byte> bytes, std::uint64_t offset,
                     Durability durability) override {
        if (failed_.load())
            co_return -EIO;
        const std::uint64_t place = data_offset_ + offset;
        int result = co_await ring.write(data_, bytes, place, durability);
        if (result < 0 && image_.backing.may_try_buffered(result))
            result = co_await ring.write(data_, bytes, place, durability);
        co_return all_of(bytes.size(), result);
    }

    Async<int> forget(Ring ring, std::uint64_t offset, std::uint64_t length) override {
        co_return co_await ring.allocate(data_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                         data_offset_ + offset, length);
    }

    void changed(std::uint32_t zone) override { table_.changed(zone); }

    // All that wait while one is under way are content with the next one.
    Async<int> commit(Ring ring, const Zones& zones) override {
        const std::uint64_t arrived = begun_.load();
        const Mutex::Guard guard = co_await mutex_.lock(ring);
        if (failed_.load())
            co_return -EIO;
        if (begun_.load() > arrived)
            co_return 0;
        begun_.fetch_add(1);
        const int result = co_await write_out(ring, zones);
        // What the kernel could not write it forgets, so trying again would prove nothing.
        if (result < 0 && !failed_.exchange(true))
            std::fprintf(stderr,
                         "zoned: changes could not be written: %s; from now on every write fails, "
                         "and what was not flushed is lost\n",
                         ::strerrordesc_np(-result));
        co_return result;
    }

    void keep() override { image_.file.keep(); }

    Result<void> close(const Zones& zones) override {
        if (image_.read_only)
            return {};
        const int error = failed_.load() ? EIO : write_out_now(zones);
        if (!error)
            return {};
        return Error{error, "write the last changes of zones",
                     "what was not flushed before is lost; the rest is as it was then",
                     ErrorKind::backend};
    }

private:
    static int all_of(std::size_t wanted, int result) {
        if (result < 0)
            return result;
        return static_cast<std::size_t>(result) == wanted ? 0 : -EIO; // the file was cut
    }

    // The records are taken first: what they tell of has been written, and the first sync makes it
    // durable.
    Async<int> write_out(Ring ring, const Zones& zones) {
        table_.take_changes(zones, outgoing_);
        if (const int error = co_await ring.sync(data_); error < 0)
            co_return error;
        if (outgoing_.empty())
            co_return 0;
        for (const Table::Placed& block : outgoing_) {
            const int result = co_await ring.write(metadata_, block.data, block.place);
            if (const int error = all_of(block.data.size(), result))
                co_return error;
        }
        co_return co_await ring.sync(metadata_);
    }

    // The same where there is no ring; returns an errno.
    int write_out_now(const Zones& zones) {
        table_.take_changes(zones, outgoing_);
        if (::fdatasync(image_.backing.fd.get()) < 0)
            return errno;
        if (outgoing_.empty())
            return 0;
        for (const Table::Placed& block : outgoing_)
            if (const int error = write_fully(image_.metadata.get(), block.data, block.place))
                return error;
        return ::fdatasync(image_.metadata.get()) < 0 ? errno : 0;
    }

    ZoneImage image_;
    Table table_;
    std::uint64_t data_offset_;
    File data_;
    File metadata_;
    std::atomic<bool> failed_{false};
    std::atomic<std::uint64_t> begun_{0}; // commits
    Mutex mutex_{};
    std::vector<Table::Placed> outgoing_{}; // of who has the mutex
};

} // namespace

std::unique_ptr<ZoneStore> open_zones_in_file(ZoneImage image) {
    return std::make_unique<InFile>(std::move(image));
}

} // namespace ublk::targets
