// SPDX-License-Identifier: GPL-2.0-or-later
// The `nbd` target: an export of an NBD server, through libnbd.
#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ublk/target.h>
#include <unistd.h>

#include "nbd_connection.h"

namespace ublk::targets {

namespace {

using nbd::Command;
using nbd::Connection;

// If the user does not say how many connections there may be.
constexpr std::size_t usual_connections = 16;
constexpr std::uint64_t most_connections = 128;

class Nbd final : public Target {
public:
    Nbd(std::unique_ptr<nbd::Link> link, nbd::Handle first, std::size_t connections,
        const Geometry& geometry, BackingUse use, std::vector<std::string> remarks)
        : link_(std::move(link)), geometry_(geometry), use_(std::move(use)),
          remarks_(std::move(remarks)), longest_(link_->offered.longest_transfer()) {
        for (std::size_t i = 0; i < connections; ++i)
            connections_.push_back(std::make_unique<Connection>(*link_, static_cast<unsigned>(i)));
        connections_.front()->adopt(std::move(first));
    }

    Geometry geometry() const override { return geometry_; }
    Persistence persistence() const override { return Persistence::backing; }
    std::vector<BackingUse> backings() const override { return {use_}; }
    std::vector<std::string> remarks() const override { return remarks_; }
    // Where libnbd looks when it connects again.
    std::vector<std::string> paths() const override {
        std::vector<std::string> all;
        for (const std::string& path :
             {link_->settings.uri.socket, link_->settings.certificates, link_->settings.psk})
            if (!path.empty())
                all.push_back(path);
        if (link_->settings.uri.needs_resolver())
            all.emplace_back("/etc/resolv.conf");
        return all;
    }

    Async<Result<void>> begin(Ring ring) override { return connection_of(ring).begin(ring); }
    Async<void> end(Ring ring) override { return connection_of(ring).end(ring); }

    Async<Answer> serve(Ring ring, Request request) override {
        const bool carries = has_data(request.op); // there are no zones
        if (carries && request.length > longest_) [[unlikely]]
            co_return co_await serve_in_parts(ring, request);
        Command command{ring,
                        kind_of(request),
                        request.offset,
                        request.length,
                        flags_of(request),
                        carries ? request.data.memory() : std::span<std::byte>{}};
        connection_of(ring).start(command, ring);
        co_await command.done;
        co_return command.result < 0 ? Answer{command.result} : request.done();
    }

    // The server says what there is; nobody can make it more from here.
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        auto handle = nbd::connect(link_->settings, nbd::Clock::now() + link_->limits.open);
        if (!handle)
            return handle.error();
        const nbd::Export now = describe(*handle);
        const std::uint64_t block = geometry_.logical_block_size;
        const std::uint64_t wanted = size.value_or(now.size / block * block);
        const auto refused = [&](std::string hint) {
            return Error{EINVAL, "uri=" + link_->settings.uri.text, std::move(hint),
                         ErrorKind::backend};
        };
        if (wanted > now.size)
            return refused("the export has " + std::to_string(now.size) +
                           " bytes; make it larger where it is");
        if (const std::string why = refusal(link_->offered, now, wanted); !why.empty())
            return refused(why);
        const bool larger = wanted > link_->size;
        link_->size = wanted;
        if (larger)
            for (const auto& connection : connections_)
                connection->renew();
        return wanted;
    }

    void measure(Metrics& metrics) const override {
        const nbd::Counts& counts = link_->counts;
        metrics.add("nbd", "connections_up", counts.up);
        metrics.add("nbd", "connections_lost", counts.losses);
        metrics.add("nbd", "servers_refused", counts.refused_servers);
        metrics.add("nbd", "requests_sent_again", counts.resent);
        metrics.add("nbd", "requests_failed_waiting", counts.failed_waiting);
    }

private:
    Connection& connection_of(Ring ring) const noexcept {
        return *connections_[ring.queue_index() % connections_.size()];
    }

    static Command::Kind kind_of(const Request& request) noexcept {
        switch (request.op) {
        case Op::write:
            return Command::Kind::write;
        case Op::flush:
            return Command::Kind::flush;
        case Op::discard:
            return Command::Kind::trim;
        case Op::write_zeroes:
            return Command::Kind::zero;
        default: // no zones: the geometry has none
            return Command::Kind::read;
        }
    }

    std::uint32_t flags_of(const Request& request) const noexcept {
        const bool changes = !changes_nothing(request.op);
        std::uint32_t flags = request.fua || (changes && through_) ? LIBNBD_CMD_FLAG_FUA : 0;
        if (request.op == Op::write_zeroes && request.no_unmap)
            flags |= LIBNBD_CMD_FLAG_NO_HOLE;
        return flags;
    }

    Async<Answer> serve_in_parts(Ring ring, Request request) {
        for (std::uint64_t done = 0; done < request.length;) {
            const std::uint64_t length = std::min<std::uint64_t>(longest_, request.length - done);
            const Answer answer = co_await serve(ring, request.slice(done, length));
            if (answer.is_error())
                co_return answer;
            done += length;
        }
        co_return request.done();
    }

    std::unique_ptr<nbd::Link> link_;
    Geometry geometry_;
    BackingUse use_;
    std::vector<std::string> remarks_;
    std::uint32_t longest_; // read or write that the server takes
    bool through_ = !geometry_.volatile_cache && link_->offered.fua; // writes are durable at once
    std::vector<std::unique_ptr<Connection>> connections_{};         // each by its home queue
};

Error wrong(std::string step, std::string hint) {
    return Error{EINVAL, std::move(step), std::move(hint), ErrorKind::usage};
}

Result<void> check_file(const std::string& option, const std::string& path) {
    if (path.empty() || ::access(path.c_str(), R_OK) == 0)
        return {};
    return Error{errno, option + "=" + path, "check the path, and who may read it"};
}

Result<nbd::Settings> read_settings(const OptionValues& values) {
    auto uri = nbd::parse_uri(values.text("uri"));
    if (!uri)
        return uri.error();
    nbd::Settings settings{.uri = *std::move(uri),
                           .certificates = values.text("tls-certificates"),
                           .psk = values.text("tls-psk"),
                           .username = values.text("tls-username"),
                           .verify_peer = values.yes("tls-verify-peer")};
    const bool any = !settings.certificates.empty() || !settings.psk.empty() ||
                     !settings.username.empty() || !settings.verify_peer;
    if (any && !settings.uri.tls)
        return wrong("uri=" + settings.uri.text, "tls-... options need nbds:// or nbds+unix://");
    if (!settings.certificates.empty() && !settings.psk.empty())
        return wrong("tls-psk=" + settings.psk, "give this or tls-certificates=, not both");
    if (auto there = check_file("tls-certificates", settings.certificates); !there)
        return there.error();
    if (auto there = check_file("tls-psk", settings.psk); !there)
        return there.error();
    return settings;
}

Result<nbd::Cache> read_cache(const std::string& word) {
    if (word == "writeback")
        return nbd::Cache::writeback;
    if (word == "writethrough")
        return nbd::Cache::writethrough;
    return wrong("cache=" + word, "it is writeback or writethrough");
}

Result<nbd::Limits> read_limits(const OptionValues& values) {
    const auto duration = [&](std::string_view name) {
        return std::chrono::nanoseconds{static_cast<std::int64_t>(values.nanoseconds(name))};
    };
    const nbd::Limits limits{duration("open-timeout"), duration("timeout"),
                             duration("reconnect-delay")};
    constexpr std::chrono::milliseconds least{100};
    if (limits.open < least)
        return wrong("open-timeout", "give 100ms at least");
    if (limits.answer < least)
        return wrong("timeout", "give 100ms at least");
    return limits;
}

// By its name first, which stays the same when its server moves; by its address it is known under
// all its names.
BackingUse use_of(const nbd::Settings& settings, const nbd::Handle& handle, bool read_only) {
    BackingUse use{read_only ? BackingUse::Access::reads : BackingUse::Access::writes,
                   {},
                   "uri=" + settings.uri.text};
    for (const std::string& name : {settings.uri.identity(), address_of(handle, settings)})
        if (!name.empty())
            use.things.push_back(
                {.kind = Identity::Kind::remote, .handle = name, .length = UINT64_MAX});
    return use;
}

std::size_t count_connections(const OptionValues& values, const nbd::Export& offered) {
    const std::uint64_t asked = values.size("connections");
    if (!offered.multi_conn)
        return 1;
    return asked ? static_cast<std::size_t>(asked) : usual_connections;
}

Result<std::unique_ptr<Target>> create(const OptionValues& values, const GeometryRequest& request) {
    auto settings = read_settings(values);
    if (!settings)
        return settings.error();
    auto limits = read_limits(values);
    if (!limits)
        return limits.error();
    auto cache = read_cache(values.text("cache"));
    if (!cache)
        return cache.error();
    if (values.size("connections") > most_connections)
        return wrong("connections=" + std::to_string(values.size("connections")),
                     "there are " + std::to_string(most_connections) + " at most");

    auto handle = nbd::connect(*settings, nbd::Clock::now() + limits->open);
    if (!handle)
        return handle.error();
    keep_alive(*handle);
    const nbd::Export offered = describe(*handle);
    auto geometry = geometry_of(offered, *cache, request);
    if (!geometry) {
        Error error = geometry.error();
        error.step.insert(0, "uri=" + settings->uri.text + ": ");
        return error;
    }
    std::vector<std::string> remarks = remarks_on(offered, request.read_only);
    if (values.size("connections") > 1 && !offered.multi_conn)
        remarks.emplace_back("the server does not say that several connections see each other's "
                             "writes, so there is one");
    for (std::string& remark : remarks)
        remark.insert(0, "uri=" + settings->uri.text + ": ");
    BackingUse use = use_of(*settings, *handle, geometry->read_only);
    auto link = std::make_unique<nbd::Link>();
    link->settings = *std::move(settings);
    link->limits = *limits;
    link->offered = offered;
    link->size = geometry->size_bytes;
    return std::unique_ptr<Target>{std::make_unique<Nbd>(
        std::move(link), *std::move(handle), count_connections(values, offered), *geometry,
        std::move(use), std::move(remarks))};
}

constexpr OptionInfo options[] = {
    {"uri", OptionType::text, "",
     "nbd[s]://HOST[:PORT]/EXPORT or nbd[s]+unix:///EXPORT?socket=PATH", true},
    {"tls-certificates", OptionType::path, "",
     "directory of ca-cert.pem, client-cert.pem, "
     "client-key.pem",
     false},
    {"tls-psk", OptionType::path, "", "file of pre-shared keys, as psktool makes it", false},
    {"tls-username", OptionType::text, "", "name that the key or the server knows", false},
    {"tls-verify-peer", OptionType::yes_no, "yes", "check the server's certificate", false},
    {"connections", OptionType::number, "",
     "as many at most, if the server allows several; "
     "otherwise one per queue",
     false},
    {"cache", OptionType::text, "writeback",
     "writeback, or writethrough: writes are durable at "
     "once (FUA)",
     false},
    {"open-timeout", OptionType::duration, "10s", "how long a server may take to be connected",
     false},
    {"timeout", OptionType::duration, "30s", "without an answer for so long, connect again", false},
    {"reconnect-delay", OptionType::duration, "120s", "how long I/O waits for a lost server",
     false},
};

} // namespace

extern const TargetInfo nbd_info;
const TargetInfo nbd_info{"nbd", "an export of an NBD server", options, create};

} // namespace ublk::targets
