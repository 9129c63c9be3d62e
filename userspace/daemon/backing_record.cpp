// SPDX-License-Identifier: GPL-2.0-or-later
// Backings as JSON.
#include "backing_record.h"

#include <array>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/sysmacros.h>
#include <ublk/unique_fd.h>

#include "../targets/identity.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

constexpr std::array<std::string_view, 3> kinds{"file", "disk", "remote"};
constexpr std::array<std::string_view, 4> accesses{"reads", "writes", "shares", "appends"};

template <class Value, std::size_t count>
Value value_of(const std::string& name, const std::array<std::string_view, count>& names,
               Value otherwise) {
    for (std::size_t i = 0; i < count; ++i)
        if (names[i] == name)
            return static_cast<Value>(i);
    return otherwise;
}

ordered_json encode(const Identity& identity) {
    return {{"kind", kinds.at(static_cast<std::size_t>(identity.kind))},
            {"device", identity.device},
            {"number", identity.number},
            {"handle", identity.handle},
            {"birth", identity.birth},
            {"file_system", identity.file_system},
            {"start", identity.start},
            {"length", identity.length},
            {"somewhere", identity.somewhere}};
}

Identity decode_identity(const ordered_json& json) {
    Identity identity;
    identity.kind = value_of(json.at("kind").get<std::string>(), kinds, Identity::Kind::file);
    identity.device = json.at("device").get<std::uint64_t>();
    identity.number = json.at("number").get<std::uint64_t>();
    identity.handle = json.at("handle").get<std::string>();
    identity.birth = json.at("birth").get<std::int64_t>();
    identity.file_system = json.at("file_system").get<std::uint64_t>();
    identity.start = json.at("start").get<std::uint64_t>();
    identity.length = json.at("length").get<std::uint64_t>();
    identity.somewhere = json.at("somewhere").get<bool>();
    return identity;
}

ordered_json encode(const BackingUse& use) {
    ordered_json things = ordered_json::array();
    for (const Identity& thing : use.things)
        things.push_back(encode(thing));
    return {{"access", accesses.at(static_cast<std::size_t>(use.access))}, {"things", things}};
}

BackingUse decode_use(const ordered_json& json) {
    BackingUse use;
    // Who does not know it is careful.
    use.access =
        value_of(json.at("access").get<std::string>(), accesses, BackingUse::Access::writes);
    for (const auto& thing : json.at("things"))
        use.things.push_back(decode_identity(thing));
    return use;
}

} // namespace

BackingRecord backing_record_of(const Target& target) {
    return {target.backings(), target.is_direct(), target.remarks()};
}

BackingUse use_of_name(const std::string& path, BackingUse::Access access) {
    BackingUse use{access, {}, path};
    const UniqueFd place{::open(path.c_str(), O_PATH | O_CLOEXEC)};
    if (!place)
        return use;
    if (auto things = targets::identify(place.get()))
        use.things = *std::move(things);
    return use;
}

void add_to_json(ordered_json& json, const BackingRecord& backing) {
    ordered_json uses = ordered_json::array();
    for (const BackingUse& use : backing.uses)
        uses.push_back(encode(use));
    json["backings"] = uses;
    json["direct"] = backing.direct ? ordered_json(*backing.direct) : ordered_json{};
    json["remarks"] = backing.remarks;
}

BackingRecord backing_from_json(const ordered_json& json) {
    BackingRecord backing;
    if (const auto found = json.find("backings"); found != json.end())
        for (const auto& use : *found)
            backing.uses.push_back(decode_use(use));
    if (const auto found = json.find("direct"); found != json.end() && !found->is_null())
        backing.direct = found->get<bool>();
    if (const auto found = json.find("remarks"); found != json.end())
        backing.remarks = found->get<std::vector<std::string>>();
    return backing;
}

std::string describe_identity(const Identity& identity) {
    if (identity.kind == Identity::Kind::remote)
        return identity.handle;
    const std::string device = fmt::format("{}:{}", major(identity.device), minor(identity.device));
    if (identity.kind == Identity::Kind::file)
        return fmt::format("file {} inode {}", device, identity.number);
    if (identity.somewhere)
        return fmt::format("part of disk {} number {}", device, identity.number);
    return fmt::format("disk {} number {}, {} bytes from {} on", device, identity.number,
                       identity.length, identity.start);
}

ordered_json backing_json(const BackingRecord& backing) {
    ordered_json things = ordered_json::array();
    for (const BackingUse& use : backing.uses)
        for (const Identity& thing : use.things)
            things.push_back(describe_identity(thing));
    ordered_json access;
    if (backing.direct)
        access = *backing.direct ? "direct" : "buffered";
    return {{"access", access}, {"things", things}, {"remarks", backing.remarks}};
}

} // namespace ublk::daemon
