// SPDX-License-Identifier: GPL-2.0-or-later
// The `rbd` target: an image of a Ceph cluster, or a snapshot of one, by librbd. How the data are
// spread over the cluster, and what happens when a part of that fails, is Ceph's business.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <ublk/target.h>

#include "rbd_calls.h"
#include "rbd_image.h"

namespace ublk::targets {

namespace {

constexpr std::size_t most_queues = 4096;
constexpr std::uint32_t longest_io = 1U << 20;
constexpr std::uint32_t longest_discard = 256U << 20; // what librbd splits into 64 usual objects
constexpr std::uint32_t usual_granularity = 64U << 10;
// For giving the lock back. Who leaves calls behind need not wait for more of the same.
constexpr std::chrono::milliseconds farewell{5000};
constexpr std::chrono::milliseconds short_farewell{200};

class Rbd final : public Target {
public:
    Rbd(std::unique_ptr<RbdImage> image, const Geometry& geometry)
        : image_(std::move(image)), name_(image_->name()), facts_(image_->facts()),
          geometry_(geometry), queues_(most_queues) {}
    ~Rbd() override { static_cast<void>(leave()); }

    Geometry geometry() const override { return geometry_; }
    Persistence persistence() const override {
        return facts_.cached ? Persistence::flushed : Persistence::backing;
    }
    std::vector<BackingUse> backings() const override;
    std::vector<std::string> remarks() const override;
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override;
    int size_events() const override { return image_->size_events(); }

    Async<Result<void>> begin(Ring ring) override {
        queues_.at(ring.queue_index()) =
            std::make_unique<RbdCalls>(image_->library(), image_->handle());
        co_return Result<void>{};
    }

    Async<Answer> serve(Ring ring, Request request) override {
        RbdCalls& calls = *queues_[ring.queue_index()];
        const Answer answer = co_await calls.run(ring, request);
        if (answer.is_error()) [[unlikely]]
            complain(answer.result());
        if (!request.fua || answer.is_error())
            co_return answer;
        Request flush;
        flush.op = Op::flush;
        const Answer flushed = co_await calls.run(ring, flush);
        co_return flushed.is_error() ? flushed : answer;
    }

    Async<void> end(Ring ring) override {
        given_up_ += queues_[ring.queue_index()]->give_up();
        co_return;
    }

    // All that was answered is in the cluster already, unless there is a cache; what is given back
    // here is the lock.
    Result<void> finish() override {
        if (leave() || !facts_.cached)
            return {};
        return Error{EIO, "store what " + name_.text() + " has in its cache",
                     "the cluster does not answer; what was not flushed is lost"};
    }

    void measure(Metrics& metrics) const override {
        metrics.add("rbd", "given_up", given_up_.load());
    }

private:
    std::shared_ptr<RbdImage> image() {
        const std::lock_guard lock{image_mutex_};
        return image_;
    }
    bool leave() noexcept;
    void complain(int result) noexcept;

    std::mutex image_mutex_{};
    // Gone when it is finished, though a resize that hangs may still have it. Guarded by the mutex,
    // but for who serves: that is over before.
    std::shared_ptr<RbdImage> image_;
    RbdName name_;
    RbdFacts facts_;
    Geometry geometry_;
    std::vector<std::unique_ptr<RbdCalls>> queues_; // each is its thread's
    std::atomic<std::uint64_t> given_up_{0};        // calls
    std::atomic<bool> has_complained_{false};
};

std::vector<BackingUse> Rbd::backings() const {
    Identity thing;
    thing.kind = Identity::Kind::remote;
    thing.handle = "rbd " + facts_.fsid + "/" + std::to_string(facts_.pool) + "/" +
                   name_.name_space + "/" + facts_.id;
    if (facts_.snapshot)
        thing.handle += "@" + std::to_string(*facts_.snapshot);
    thing.length = facts_.size;
    const auto access =
        geometry_.read_only ? BackingUse::Access::reads : BackingUse::Access::writes;
    return {{access, {thing}, "image=" + name_.text()}};
}

std::vector<std::string> Rbd::remarks() const {
    std::vector<std::string> remarks;
    if (facts_.cached)
        remarks.emplace_back("the settings of the image or its pool have a cache: what was written "
                             "and not flushed is lost with the server");
    if (!geometry_.read_only && !facts_.locked)
        remarks.emplace_back("the image lacks the feature exclusive-lock: nothing keeps another "
                             "client from writing to it");
    return remarks;
}

// The image is made longer when the disk is to be, and never shorter: that would lose what is in
// it.
Result<std::uint64_t> Rbd::resize(std::optional<std::uint64_t> size) {
    const auto image = this->image();
    if (!image)
        return Error{ESHUTDOWN, "resize " + name_.text(), "its server is about to end"};
    auto now = image->size();
    if (!now)
        return now.error();
    if (!size || *size <= *now)
        return size ? *size : *now;
    if (geometry_.read_only)
        return Error{EROFS, "resize " + name_.text(),
                     "this disk may not write; resize the image where it is written",
                     ErrorKind::usage};
    if (auto grown = image->grow(*size); !grown)
        return grown.error();
    return *size;
}

// Without the cluster nothing of it ends: then the client ends with the process, and the lock when
// the cluster has missed it for half a minute.
bool Rbd::leave() noexcept {
    std::shared_ptr<RbdImage> image;
    {
        const std::lock_guard lock{image_mutex_};
        image.swap(image_);
    }
    if (!image)
        return true;
    const auto limit = given_up_ ? short_farewell : farewell;
    if (RbdImage::close_within(std::move(image), limit))
        return true;
    std::fprintf(
        stderr,
        "ublkd: rbd: %s: the cluster does not answer; its lock ends when that has missed this "
        "client for half a minute\n",
        name_.text().c_str());
    return false;
}

// Once: every request that follows meets the same.
void Rbd::complain(int result) noexcept {
    const bool shut_out = result == -ESHUTDOWN || result == -EROFS;
    if (!shut_out || has_complained_.exchange(true))
        return;
    std::fprintf(stderr,
                 "ublkd: rbd: %s: another client has broken our lock and the cluster has shut us "
                 "out: all I/O fails from now on; see rbd status, ceph osd blocklist ls\n",
                 name_.text().c_str());
}

constexpr OptionInfo options[] = {
    {"image", OptionType::text, "", "name of the image", true},
    {"pool", OptionType::text, "rbd", "pool that the image is in", false},
    {"namespace", OptionType::text, "",
     "RADOS namespace in the pool (default: the one without a name)", false},
    {"snapshot", OptionType::text, "", "show this snapshot of the image, read-only", false},
    {"conf", OptionType::path, "/etc/ceph/ceph.conf",
     "Ceph's configuration: where the monitors are", false},
    {"client", OptionType::text, "client.admin", "whom cephx knows us as; NAME means client.NAME",
     false},
    {"keyring", OptionType::path, "",
     "file with the client's key (default: where the configuration says)", false},
    {"timeout", OptionType::duration, "10s",
     "how long the cluster may take to answer at the start, 1s to 30s", false},
};

constexpr std::uint64_t shortest_timeout = 1'000'000'000;
constexpr std::uint64_t longest_timeout = 30 * shortest_timeout;

Result<RbdName> name_of(const OptionValues& values, const GeometryRequest& request) {
    RbdName name{.image = values.text("image"),
                 .pool = values.text("pool"),
                 .name_space = values.text("namespace"),
                 .snapshot = values.text("snapshot"),
                 .conf = values.text("conf"),
                 .client = values.text("client"),
                 .keyring = values.text("keyring"),
                 .read_only = request.read_only || values.is_set("snapshot")};
    if (name.image.empty() || name.image.find_first_of("/@") != std::string::npos)
        return Error{EINVAL, "image=" + name.image,
                     "give the name alone; pool=, namespace= and snapshot= say the rest",
                     ErrorKind::usage};
    if (name.client.find('.') == std::string::npos)
        name.client = "client." + name.client;
    return name;
}

// As large as what is done at once in the cluster.
std::uint32_t best_io(const RbdFacts& facts) {
    const std::uint64_t all = facts.stripe_unit * facts.stripe_count;
    const std::uint64_t best = std::has_single_bit(all) ? all : facts.stripe_unit;
    return best <= largest_io_bytes && std::has_single_bit(best) ? static_cast<std::uint32_t>(best)
                                                                 : 0;
}

DiscardLimits discard_limits(const RbdFacts& facts) {
    DiscardLimits limits;
    limits.max_bytes = longest_discard;
    const std::uint64_t wanted =
        facts.discard_granularity ? facts.discard_granularity : usual_granularity;
    // librbd passes over what is shorter.
    limits.granularity = static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(std::bit_ceil(wanted), sector_size, facts.object_size));
    return limits;
}

Result<Geometry> describe(const RbdImage& image, const GeometryRequest& request) {
    const RbdFacts& facts = image.facts();
    Geometry geometry;
    geometry.size_bytes = facts.size;
    // A disk that exists already has a size, whatever has become of the image since.
    if (request.size_bytes > facts.size)
        return Error{ENODATA, "image=" + image.name().text(),
                     "it has " + std::to_string(facts.size) + " bytes, the disk has " +
                         std::to_string(request.size_bytes),
                     ErrorKind::backend};
    if (request.size_bytes)
        geometry.size_bytes = request.size_bytes;
    const std::uint32_t block =
        request.logical_block_size ? request.logical_block_size : sector_size;
    if (geometry.size_bytes < block || geometry.size_bytes % block)
        return Error{EINVAL,
                     "image=" + image.name().text() + ": " + std::to_string(geometry.size_bytes) +
                         " bytes are not whole blocks of " + std::to_string(block),
                     "make it longer: rbd resize", ErrorKind::backend};
    geometry.max_io_bytes = longest_io;
    geometry.io_opt = best_io(facts);
    if (facts.stripe_count > 1 && std::has_single_bit(facts.stripe_unit))
        geometry.io_min = static_cast<std::uint32_t>(facts.stripe_unit);
    geometry.read_only = image.name().read_only;
    if (!geometry.read_only) {
        geometry.volatile_cache = true;
        geometry.fua = true;
        geometry.discard = discard_limits(facts);
        geometry.max_write_zeroes_bytes = longest_discard;
    }
    return apply(request, geometry);
}

Result<std::unique_ptr<Target>> create(const OptionValues& values, const GeometryRequest& request) {
    const std::uint64_t limit = values.nanoseconds("timeout");
    if (limit < shortest_timeout || limit > longest_timeout)
        return Error{EINVAL, "timeout=" + values.text("timeout"), "give 1s to 30s",
                     ErrorKind::usage};
    auto name = name_of(values, request);
    if (!name)
        return name.error();
    auto image = RbdImage::open(*name, std::chrono::nanoseconds{limit});
    if (!image)
        return image.error();
    auto geometry = describe(**image, request);
    if (geometry)
        return std::unique_ptr<Target>{new Rbd{*std::move(image), *geometry}};
    RbdImage::close_within(*std::move(image), farewell);
    return geometry.error();
}

} // namespace

extern const TargetInfo rbd_info;
const TargetInfo rbd_info{
    .name = "rbd",
    .summary = "an image or a snapshot of a Ceph cluster",
    .options = options,
    .create = create,
};

} // namespace ublk::targets
