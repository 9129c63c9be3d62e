// SPDX-License-Identifier: GPL-2.0-or-later
// Checks the keys. None has a default in the table, where one could not tell it from a wish; that
// of a disk in a file is what the file says.
#include "zone_options.h"

#include <array>
#include <bit>
#include <cerrno>
#include <string>

#include "zone_format.h"

namespace ublk::targets {

namespace {

constexpr std::uint64_t default_zone_size = 256U << 20;
constexpr std::uint32_t default_block_size = 4096; // what direct I/O takes anywhere

constexpr OptionInfo options[] = {
    {"size", OptionType::size, "", "size of the device: whole zones; a file with zones knows it",
     false},
    {"zone-size", OptionType::size, "", "size of a zone, a power of two (default 256M)", false},
    {"zone-capacity", OptionType::size, "",
     "how much of a sequential zone can be written (default: all)", false},
    {"conventional", OptionType::number, "",
     "so many zones at the beginning are written anywhere (default 0)", false},
    {"max-open", OptionType::number, "", "most zones that are open at a time (default: no limit)",
     false},
    {"max-active", OptionType::number, "",
     "most zones that are open or closed at a time (default: no limit)", false},
    {"file", OptionType::path, "", "keep all in this file, which is made if it does not exist",
     false},
    {"direct", OptionType::yes_no, "yes", "with file: bypass the page cache (O_DIRECT)", false},
};

Error usage(std::string step, std::string hint) {
    return Error{EINVAL, std::move(step), std::move(hint), ErrorKind::usage};
}

Error bad_value(const char* key, std::uint64_t value, std::string hint) {
    return usage(std::string{key} + "=" + std::to_string(value), std::move(hint));
}

std::uint64_t given_or(const OptionValues& values, const char* key, std::uint64_t otherwise) {
    return values.is_set(key) ? values.size(key) : otherwise;
}

Result<void> check_sizes(std::uint64_t size, std::uint64_t zone_size) {
    if (!std::has_single_bit(zone_size) || zone_size < zone_format::smallest_zone ||
        zone_size > zone_format::largest_zone)
        return bad_value("zone-size", zone_size, "use a power of two from 64K to 1T");
    if (size == 0)
        return bad_value("size", size, "a device has at least one zone");
    if (size % zone_size)
        return bad_value("size", size,
                         "use a multiple of the zone size " + std::to_string(zone_size) +
                             ", or choose another zone-size=");
    if (size / zone_size > zone_format::most_zones)
        return bad_value("size", size,
                         "there can be " + std::to_string(zone_format::most_zones) +
                             " zones; choose a larger zone-size=");
    return {};
}

Result<void> check_capacity(std::uint64_t capacity, std::uint64_t zone_size, std::uint32_t block) {
    if (capacity == 0 || capacity > zone_size || capacity % block)
        return bad_value("zone-capacity", capacity,
                         "use a multiple of the block size " + std::to_string(block) +
                             " up to the zone size " + std::to_string(zone_size));
    return {};
}

// A number of zones.
Result<std::uint32_t> count_of(const OptionValues& values, const char* key, std::uint32_t most,
                               const char* of_what) {
    const std::uint64_t count = given_or(values, key, 0);
    if (count > most)
        return bad_value(key, count,
                         "there are " + std::to_string(most) + " " + of_what +
                             "; use that at most, or leave it out");
    return static_cast<std::uint32_t>(count);
}

Result<void> set_limits(ZoneLayout& layout, const OptionValues& values) {
    const std::uint32_t sequential = layout.zones - layout.conventional;
    auto open = count_of(values, "max-open", sequential, "sequential zones");
    if (!open)
        return open.error();
    auto active = count_of(values, "max-active", sequential, "sequential zones");
    if (!active)
        return active.error();
    if (*active && *open > *active)
        return bad_value("max-open", *open,
                         "use max-active=" + std::to_string(*active) + " at most");
    layout.max_active = *active;
    layout.max_open = *open ? *open : *active;
    return {};
}

} // namespace

constinit const std::span<const OptionInfo> zone_options{options};

Result<ZoneLayout> layout_of(const OptionValues& values, const GeometryRequest& request) {
    if (!values.is_set("size"))
        return usage("option size is missing", "give the size of the device, as in size=4G");
    const std::uint64_t size = values.size("size");
    ZoneLayout layout;
    layout.block_size =
        request.logical_block_size ? request.logical_block_size : default_block_size;
    layout.zone_size = given_or(values, "zone-size", default_zone_size);
    if (auto valid = check_sizes(size, layout.zone_size); !valid)
        return valid.error();
    layout.zone_capacity = given_or(values, "zone-capacity", layout.zone_size);
    if (auto valid = check_capacity(layout.zone_capacity, layout.zone_size, layout.block_size);
        !valid)
        return valid.error();
    layout.zones = static_cast<std::uint32_t>(size / layout.zone_size);
    auto conventional = count_of(values, "conventional", layout.zones - 1,
                                 "zones beside the one that must be sequential");
    if (!conventional)
        return conventional.error();
    layout.conventional = *conventional;
    if (auto valid = set_limits(layout, values); !valid)
        return valid.error();
    return layout;
}

Result<void> agree(const OptionValues& values, const GeometryRequest& request,
                   const ZoneLayout& found) {
    struct Claim {
        const char* key;
        std::uint64_t found;
    };
    for (const Claim& claim :
         {Claim{"size", found.size()}, Claim{"zone-size", found.zone_size},
          Claim{"zone-capacity", found.zone_capacity}, Claim{"conventional", found.conventional},
          Claim{"max-open", found.max_open}, Claim{"max-active", found.max_active}})
        if (values.is_set(claim.key) && values.size(claim.key) != claim.found)
            return bad_value(claim.key, values.size(claim.key),
                             "the file has " + std::to_string(claim.found) + "; leave it out");
    if (request.logical_block_size && request.logical_block_size != found.block_size)
        return usage("block size " + std::to_string(request.logical_block_size),
                     "the file has " + std::to_string(found.block_size) + "; leave it out");
    return {};
}

} // namespace ublk::targets
