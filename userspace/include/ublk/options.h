// SPDX-License-Identifier: MIT
// The `key=value` options of a target: how they are described, and how they are checked in one
// place for all targets, so that an unknown key or a bad number never reaches one.
#ifndef UBLK_OPTIONS_H
#define UBLK_OPTIONS_H

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include <ublk/result.h>

namespace ublk {

enum class OptionType {
    text,
    path,
    size,     // bytes, or with a suffix K, M, G or T (powers of 1024)
    number,   // unsigned decimal
    yes_no,   // "yes" or "no"
    duration, // with a suffix ns, us, ms or s: "20ms"; at most an hour
};

struct OptionInfo {
    std::string_view name;
    OptionType type;
    std::string_view default_value; // ignored if required; empty: not set
    std::string_view help;          // one line
    bool required = false;
};

// Whether options that were not given have their default values, and required ones must be given.
enum class Defaults { filled_in, none };

// Checked values. Asking for an option that the description lacks, or for another type, is a bug.
class OptionValues {
public:
    bool is_set(std::string_view name) const { return values_.count(name) != 0; }
    const std::string& text(std::string_view name) const;   // of text and path; empty if not set
    std::uint64_t size(std::string_view name) const;        // of size and number; 0 if not set
    bool yes(std::string_view name) const;                  // false if not set
    std::uint64_t nanoseconds(std::string_view name) const; // of duration; 0 if not set

private:
    friend Result<OptionValues> parse_options(std::span<const OptionInfo>,
                                              std::span<const std::string>, Defaults);
    std::map<std::string, std::string, std::less<>> values_{};
};

// Checks `key=value` words against the description.
Result<OptionValues> parse_options(std::span<const OptionInfo> known,
                                   std::span<const std::string> words,
                                   Defaults defaults = Defaults::filled_in);

// "64K" is 65536. Fails on anything else than digits and one suffix, and on overflow.
Result<std::uint64_t> parse_size(std::string_view text);

// "20ms" is 20000000. Fails on anything else than digits and a unit, and on more than an hour.
Result<std::uint64_t> parse_duration(std::string_view text);
// The same the other way round, in the largest unit that is exact.
std::string format_duration(std::uint64_t nanoseconds);

std::string_view name_of(OptionType type);

} // namespace ublk

#endif
