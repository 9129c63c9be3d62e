// SPDX-License-Identifier: GPL-2.0-or-later
// The `zoned` target: a host-managed zoned disk, in memory or in a file. What may be done with a
// zone is for Zones to say, where the bytes are for ZoneStore; here one is done after the other.
//
// A zone does one thing at a time: whatever changes it has its turn, a Mutex, from the look at the
// write pointer to the pointer's move. So no write overtakes another, and a write that failed has
// left the pointer where it was.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ublk/mutex.h>
#include <ublk/target.h>

#include "zone_options.h"
#include "zone_store.h"

namespace ublk::targets {

namespace {

class Zoned final : public Target {
public:
    Zoned(std::unique_ptr<ZoneStore> store, const ZoneLayout& layout,
          const std::vector<ZoneRecord>& records, const Geometry& geometry)
        : store_(std::move(store)), zones_(layout, records), turns_(layout.zones),
          geometry_(geometry) {}
    ~Zoned() override {
        if (auto finished = finish(); !finished)
            std::fprintf(stderr, "zoned: %s\n", finished.error().message().c_str());
    }

    Result<void> finish() override {
        if (std::exchange(finished_, true))
            return {};
        return store_->close(zones_);
    }

    Geometry geometry() const override { return geometry_; }
    void register_files(FileTable& files) override { store_->register_files(files); }
    Persistence persistence() const override { return store_->persistence(); }
    std::vector<BackingUse> backings() const override {
        const Backing* backing = store_->backing();
        return backing ? std::vector{backing->use} : std::vector<BackingUse>{};
    }
    std::optional<bool> is_direct() const override {
        const Backing* backing = store_->backing();
        return backing ? std::optional{backing->direct} : std::nullopt;
    }
    std::vector<std::string> remarks() const override {
        const Backing* backing = store_->backing();
        return backing ? backing->properties.remarks : std::vector<std::string>{};
    }

    // serve(), manage(), finish_in_turn(), and the store's commit() and what writes for it.
    unsigned frames() const override { return usual_frames + 1; }

    Async<Answer> serve(Ring ring, Request request) override {
        switch (request.op) {
        case Op::read:
            co_return answer(request, co_await read(ring, request.data.memory(), request.offset));
        case Op::write:
            co_return answer(request, co_await write(ring, request));
        case Op::zone_append: {
            const Placed placed = co_await append(ring, request);
            co_return answer(request, placed.error).at(placed.offset);
        }
        case Op::flush:
            co_return answer(request, co_await store_->commit(ring, zones_));
        case Op::report_zones:
            report(request);
            co_return request.done();
        case Op::zone_reset_all:
            co_return answer(request, co_await reset_all(ring));
        default:
            co_return answer(request, co_await manage(ring, request.op, zone_at(request.offset)));
        }
    }

private:
    struct Placed {
        int error;
        std::uint64_t offset;
    };

    std::uint32_t zone_at(std::uint64_t offset) const { return zones_.layout().zone_at(offset); }

    // error: 0 or a negative errno.
    static Answer answer(const Request& request, int error) {
        return error ? Answer{error} : request.done();
    }

    // There is nothing behind what was written.
    Async<int> read(Ring ring, std::span<std::byte> buffer, std::uint64_t offset) {
        const std::uint32_t zone = zone_at(offset);
        const std::uint64_t from = offset - zones_.layout().start_of(zone);
        const std::uint64_t end = zones_.readable(zone);
        const std::size_t there =
            end > from ? std::min<std::uint64_t>(end - from, buffer.size()) : 0;
        const std::span<std::byte> rest = buffer.subspan(there);
        if (!rest.empty())
            std::memset(rest.data(), 0, rest.size());
        if (there == 0)
            co_return 0;
        co_return co_await store_->read(ring, buffer.first(there), offset);
    }

    Async<int> write(Ring ring, Request request) {
        const std::uint32_t zone = zone_at(request.offset);
        const std::span<const std::byte> data = request.data.memory();
        if (zones_.layout().is_conventional(zone)) {
            const auto durability = request.fua ? Durability::stable : Durability::cached;
            co_return co_await store_->write(ring, data, request.offset, durability);
        }
        const Placed placed = co_await write_in_turn(ring, zone, data, request.offset);
        if (placed.error || !request.fua)
            co_return placed.error;
        co_return co_await store_->commit(ring, zones_);
    }

    Async<Placed> append(Ring ring, Request request) {
        Placed placed = co_await write_in_turn(ring, zone_at(request.offset), request.data.memory(),
                                               std::nullopt);
        if (!placed.error && request.fua)
            placed.error = co_await store_->commit(ring, zones_);
        co_return placed;
    }

    // Without an offset at the write pointer, which with one must be there.
    Async<Placed> write_in_turn(Ring ring, std::uint32_t zone, std::span<const std::byte> data,
                                std::optional<std::uint64_t> offset) {
        const Mutex::Guard turn = co_await turns_[zone].lock(ring);
        const std::uint64_t start = zones_.layout().start_of(zone);
        const std::uint64_t at = offset ? *offset - start : zones_.record(zone).written;
        if (const int error = zones_.begin_write(zone, at, data.size()))
            co_return Placed{error, 0};
        const int error = co_await store_->write(ring, data, start + at, Durability::cached);
        zones_.end_write(zone, error ? 0 : data.size());
        store_->changed(zone);
        co_return Placed{error, start + at};
    }

    Async<int> manage(Ring ring, Op op, std::uint32_t zone) {
        const Mutex::Guard turn = co_await turns_[zone].lock(ring);
        switch (op) {
        case Op::zone_open:
            co_return zones_.open(zone);
        case Op::zone_close:
            co_return zones_.close(zone);
        case Op::zone_finish:
            co_return co_await finish_in_turn(ring, zone);
        case Op::zone_reset:
            co_return co_await reset_in_turn(ring, zone);
        default:
            co_return -EOPNOTSUPP;
        }
    }

    // Like a reset, durable when it is over, which no user of a disk would think of flushing for.
    Async<int> finish_in_turn(Ring ring, std::uint32_t zone) {
        if (const int error = zones_.finish(zone))
            co_return error;
        store_->changed(zone);
        co_return co_await store_->commit(ring, zones_);
    }

    // Durable before anybody writes there again: else a crash could leave the old write pointer and
    // some of the new data. That there is room again is nice, not necessary.
    Async<int> reset_in_turn(Ring ring, std::uint32_t zone) {
        const ZoneRecord before = zones_.record(zone);
        if (const int error = zones_.reset(zone))
            co_return error;
        if (before == ZoneRecord{})
            co_return 0;
        store_->changed(zone);
        if (const int error = co_await store_->commit(ring, zones_))
            co_return error;
        const ZoneLayout& layout = zones_.layout();
        co_await store_->forget(ring, layout.start_of(zone), layout.zone_size);
        co_return 0;
    }

    // With all turns, in ascending order; nobody else has one and waits for another.
    Async<int> reset_all(Ring ring) {
        const ZoneLayout& layout = zones_.layout();
        std::vector<Mutex::Guard> turns;
        turns.reserve(layout.zones - layout.conventional);
        for (std::uint32_t zone = layout.conventional; zone < layout.zones; ++zone) {
            Mutex::Guard turn = co_await turns_[zone].lock(ring);
            turns.push_back(std::move(turn));
        }
        bool any = false;
        for (std::uint32_t zone = layout.conventional; zone < layout.zones; ++zone)
            any = reset_one_of_all(zone) || any;
        if (!any)
            co_return 0;
        if (const int error = co_await store_->commit(ring, zones_))
            co_return error;
        const std::uint64_t start = layout.start_of(layout.conventional);
        co_await store_->forget(ring, start, layout.size() - start);
        co_return 0;
    }

    // Whether that changed anything.
    bool reset_one_of_all(std::uint32_t zone) {
        const ZoneRecord before = zones_.record(zone);
        zones_.reset(zone);
        if (before == ZoneRecord{})
            return false;
        store_->changed(zone);
        return true;
    }

    // The driver asks before anybody can use the disk.
    void report(const Request& request) {
        store_->keep();
        const std::uint32_t first = zone_at(request.offset);
        for (unsigned i = 0; i < request.zones_wanted(); ++i)
            request.report(i, zones_.describe(first + i));
    }

    std::unique_ptr<ZoneStore> store_;
    Zones zones_;
    std::vector<Mutex> turns_; // one for each zone
    Geometry geometry_;
    bool finished_ = false;
};

Result<Geometry> describe(const ZoneLayout& layout, const GeometryRequest& request) {
    Geometry geometry;
    geometry.size_bytes = layout.size();
    geometry.logical_block_size = layout.block_size;
    geometry.zones = {.size_bytes = layout.zone_size,
                      .max_append_bytes = static_cast<std::uint32_t>(
                          std::min<std::uint64_t>(layout.zone_capacity, largest_io_bytes)),
                      .max_open = layout.max_open,
                      .max_active = layout.max_active};
    return apply(request, geometry);
}

Result<std::unique_ptr<Target>> create_in_memory(const OptionValues& values,
                                                 const GeometryRequest& request) {
    auto layout = layout_of(values, request);
    if (!layout)
        return layout.error();
    auto geometry = describe(*layout, request);
    if (!geometry)
        return geometry.error();
    auto store = open_zones_in_memory(*layout);
    if (!store)
        return store.error();
    const std::vector<ZoneRecord> empty(layout->zones);
    return std::unique_ptr<Target>{
        std::make_unique<Zoned>(*std::move(store), *layout, empty, *geometry)};
}

Result<ZoneImage> make_image(const OptionValues& values, const GeometryRequest& request,
                             ZoneFileState state) {
    const std::string& path = values.text("file");
    if (request.read_only)
        return Error{EINVAL, "file=" + path + " with --read-only",
                     "it has no zones yet; leave --read-only out", ErrorKind::usage};
    if (!values.is_set("size"))
        return Error{state == ZoneFileState::missing ? ENOENT : ENODATA, "file=" + path,
                     "check the path, or give size= to make zones in it"};
    auto layout = layout_of(values, request);
    if (!layout)
        return layout.error();
    if (auto geometry = describe(*layout, request); !geometry)
        return geometry.error();
    return make_zones({path, values.yes("direct"), false}, *layout);
}

Result<ZoneImage> find_image(const OptionValues& values, const GeometryRequest& request) {
    auto image = find_zones({values.text("file"), values.yes("direct"), request.read_only});
    if (!image)
        return image;
    if (auto agreed = agree(values, request, image->layout); !agreed)
        return agreed.error();
    return image;
}

Result<void> check_direct_io(const ZoneImage& image, const std::string& path) {
    const std::uint32_t least = image.backing.properties.offset_alignment;
    if (!image.backing.direct || least <= image.layout.block_size)
        return {};
    return Error{EINVAL, "block size " + std::to_string(image.layout.block_size),
                 "direct I/O on " + path + " needs " + std::to_string(least) +
                     "; use direct=no, or make zones with -b " + std::to_string(least),
                 ErrorKind::usage};
}

Result<std::unique_ptr<Target>> create_in_file(const OptionValues& values,
                                               const GeometryRequest& request) {
    const std::string& path = values.text("file");
    auto state = look_at_zone_file(path);
    if (!state)
        return state.error();
    auto image = *state == ZoneFileState::used ? find_image(values, request)
                                               : make_image(values, request, *state);
    if (!image)
        return image.error();
    if (auto fits = check_direct_io(*image, path); !fits)
        return fits.error();
    for (std::string& remark : image->backing.properties.remarks)
        remark.insert(0, "file=" + path + ": ");
    auto geometry = describe(image->layout, request);
    if (!geometry)
        return geometry.error();
    const ZoneLayout layout = image->layout;
    const std::vector<ZoneRecord> records = std::move(image->records);
    auto store = open_zones_in_file(*std::move(image));
    store->describe(*geometry);
    return std::unique_ptr<Target>{
        std::make_unique<Zoned>(std::move(store), layout, records, *geometry)};
}

Result<std::unique_ptr<Target>> create(const OptionValues& values, const GeometryRequest& request) {
    return values.is_set("file") ? create_in_file(values, request)
                                 : create_in_memory(values, request);
}

} // namespace

extern const TargetInfo zoned_info;
const TargetInfo zoned_info{"zoned", "zones that are written sequentially, in memory or in a file",
                            zone_options, create};

} // namespace ublk::targets
