// SPDX-License-Identifier: GPL-2.0-or-later
// Identities as parts of file names.
#include "backing_index.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include <fmt/format.h>

#include "../targets/identity.h"

namespace ublk::daemon {

namespace {

constexpr std::string_view infix = ".uses-";
constexpr std::string_view nothing = "nothing";
constexpr std::string_view somewhere = "somewhere";
constexpr std::array<std::string_view, 3> kinds{"file", "disk", "remote"};

template <class Number> std::optional<Number> parse_whole(std::string_view text, int base) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return number;
}

// What stands before the next dash; that goes, too.
std::string_view next_field(std::string_view& text) {
    const auto dash = text.find('-');
    const std::string_view field = text.substr(0, dash);
    text.remove_prefix(dash == std::string_view::npos ? text.size() : dash + 1);
    return field;
}

// FNV-1a of 64 bits (RFC 9923): the same in every version of ublkd, as a name on disk has to be.
std::uint64_t fingerprint(std::string_view text) {
    std::uint64_t sum = 0xcbf29ce484222325;
    for (const char character : text)
        sum = (sum ^ static_cast<unsigned char>(character)) * 0x100000001b3;
    return sum;
}

// What a server elsewhere has is known by a text, of which a name has only the sum.
std::uint64_t number_of(const Identity& thing) {
    const bool has_text = thing.kind == Identity::Kind::remote && !thing.handle.empty();
    return has_text ? fingerprint(thing.handle) : thing.number;
}

std::string encode(const Identity& thing) {
    return fmt::format("{}-{:x}-{:x}{}{}", kinds.at(static_cast<std::size_t>(thing.kind)),
                       thing.device, number_of(thing), thing.somewhere ? "-" : "",
                       thing.somewhere ? somewhere : "");
}

std::optional<Identity> decode(std::string_view text) {
    const std::string_view kind = next_field(text);
    const auto device = parse_whole<std::uint64_t>(next_field(text), 16);
    const auto number = parse_whole<std::uint64_t>(next_field(text), 16);
    const auto* known = std::find(kinds.begin(), kinds.end(), kind);
    if (known == kinds.end() || !device || !number)
        return std::nullopt;
    Identity thing;
    thing.kind = static_cast<Identity::Kind>(known - kinds.begin());
    thing.device = *device;
    thing.number = *number;
    thing.somewhere = text == somewhere;
    return thing;
}

} // namespace

std::set<std::string> index_names(int number, const std::vector<BackingUse>& uses) {
    std::set<std::string> names;
    for (const BackingUse& use : uses)
        for (const Identity& thing : use.things)
            names.insert(fmt::format("{}{}{}", number, infix, encode(thing)));
    if (names.empty())
        names.insert(fmt::format("{}{}{}", number, infix, nothing));
    return names;
}

std::optional<IndexEntry> parse_index_name(std::string_view name) {
    const auto at = name.find(infix);
    if (at == std::string_view::npos)
        return std::nullopt;
    const auto number = parse_whole<int>(name.substr(0, at), 10);
    const std::string_view rest = name.substr(at + infix.size());
    if (!number || *number < 0)
        return std::nullopt;
    if (rest == nothing)
        return IndexEntry{*number, std::nullopt};
    const auto thing = decode(rest);
    return thing ? std::optional{IndexEntry{*number, thing}} : std::nullopt;
}

// Two volumes of a group are somewhere on the same disk, each with a place of its own.
bool may_meet(const Identity& one, const Identity& other) {
    if (one.kind == Identity::Kind::remote && other.kind == Identity::Kind::remote)
        return number_of(one) == number_of(other);
    return targets::same_thing(one, other) && !(one.somewhere && other.somewhere);
}

} // namespace ublk::daemon
