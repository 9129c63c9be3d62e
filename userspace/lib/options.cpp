// SPDX-License-Identifier: MIT
// Parses the `key=value` words of a target and rejects what its description does not allow.
#include <ublk/options.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <limits>

namespace ublk {

namespace {

Error usage(std::string step, std::string hint) {
    return Error{EINVAL, std::move(step), std::move(hint), ErrorKind::usage};
}

std::string list_of_names(std::span<const OptionInfo> known) {
    std::string text;
    for (const OptionInfo& option : known)
        text += (text.empty() ? "known options: " : ", ") + std::string{option.name};
    return text.empty() ? "this target has no options" : text;
}

Result<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return usage("parse '" + std::string{text} + "'", "give an unsigned decimal number");
    return value;
}

Result<void> check_value(const OptionInfo& option, const std::string& value) {
    const std::string step = "option " + std::string{option.name} + "=" + value;
    switch (option.type) {
    case OptionType::size:
        if (Result<std::uint64_t> size = parse_size(value); !size)
            return usage(step, size.error().hint);
        break;
    case OptionType::number:
        if (Result<std::uint64_t> number = parse_number(value); !number)
            return usage(step, number.error().hint);
        break;
    case OptionType::yes_no:
        if (value != "yes" && value != "no")
            return usage(step, "say yes or no");
        break;
    case OptionType::duration:
        if (Result<std::uint64_t> duration = parse_duration(value); !duration)
            return usage(step, duration.error().hint);
        break;
    case OptionType::text:
    case OptionType::path:
        if (value.empty())
            return usage(step, "give a value");
        break;
    }
    return {};
}

} // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
    constexpr std::string_view suffixes = "KMGT";
    const std::string step = "parse size '" + std::string{text} + "'";
    unsigned shift = 0;
    std::string_view digits = text;
    if (!digits.empty() && suffixes.find(digits.back()) != std::string_view::npos) {
        shift = 10 * (static_cast<unsigned>(suffixes.find(digits.back())) + 1);
        digits.remove_suffix(1);
    }
    Result<std::uint64_t> number = parse_number(digits);
    if (!number)
        return usage(step, "give bytes, or a number with suffix K, M, G or T");
    if (*number > std::numeric_limits<std::uint64_t>::max() >> shift)
        return usage(step, "that is too large");
    return *number << shift;
}

namespace {

struct Unit {
    std::string_view suffix;
    std::uint64_t nanoseconds;
};
constexpr Unit units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};
constexpr std::uint64_t longest_duration = std::uint64_t{3600} * 1000 * 1000 * 1000;

} // namespace

Result<std::uint64_t> parse_duration(std::string_view text) {
    const std::string step = "parse duration '" + std::string{text} + "'";
    const std::size_t digits = text.find_first_not_of("0123456789");
    const std::string_view suffix = digits == std::string_view::npos ? "" : text.substr(digits);
    for (const Unit& unit : units) {
        if (unit.suffix != suffix)
            continue;
        Result<std::uint64_t> number = parse_number(text.substr(0, digits));
        if (!number)
            break;
        if (*number > longest_duration / unit.nanoseconds)
            return usage(step, "give at most 3600s");
        return *number * unit.nanoseconds;
    }
    return usage(step, "give a number with ns, us, ms or s, such as 20ms");
}

std::string format_duration(std::uint64_t nanoseconds) {
    const Unit* best = &units[0];
    for (const Unit& unit : units)
        if (nanoseconds % unit.nanoseconds == 0)
            best = &unit;
    return std::to_string(nanoseconds / best->nanoseconds) + std::string{best->suffix};
}

Result<OptionValues> parse_options(std::span<const OptionInfo> known,
                                   std::span<const std::string> words, Defaults defaults) {
    OptionValues result;
    for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        if (equals == std::string::npos)
            return usage("option " + word, "write it as key=value");
        const std::string key = word.substr(0, equals);
        const auto option = std::find_if(known.begin(), known.end(),
                                         [&](const OptionInfo& o) { return o.name == key; });
        if (option == known.end())
            return usage("unknown option " + key, list_of_names(known));
        std::string value = word.substr(equals + 1);
        if (Result<void> valid = check_value(*option, value); !valid)
            return valid.error();
        if (!result.values_.emplace(key, std::move(value)).second)
            return usage("option " + key, "give it once");
    }
    if (defaults == Defaults::none)
        return result;
    for (const OptionInfo& option : known) {
        if (option.required && !result.is_set(option.name))
            return usage("option " + std::string{option.name} + " is missing",
                         std::string{option.name} + "=" + std::string{name_of(option.type)} + ": " +
                             std::string{option.help});
        if (!option.required && !option.default_value.empty())
            result.values_.emplace(option.name, option.default_value);
    }
    return result;
}

const std::string& OptionValues::text(std::string_view name) const {
    static const std::string not_set;
    const auto found = values_.find(name);
    return found == values_.end() ? not_set : found->second;
}

std::uint64_t OptionValues::size(std::string_view name) const {
    if (!is_set(name))
        return 0;
    Result<std::uint64_t> value = parse_size(text(name));
    assert(value && "not a size option");
    return *value;
}

std::uint64_t OptionValues::nanoseconds(std::string_view name) const {
    if (!is_set(name))
        return 0;
    Result<std::uint64_t> value = parse_duration(text(name));
    assert(value && "not a duration option");
    return *value;
}

bool OptionValues::yes(std::string_view name) const { return text(name) == "yes"; }

std::string_view name_of(OptionType type) {
    switch (type) {
    case OptionType::text:
        return "text";
    case OptionType::path:
        return "path";
    case OptionType::size:
        return "size";
    case OptionType::number:
        return "number";
    case OptionType::yes_no:
        return "yes|no";
    case OptionType::duration:
        return "duration";
    }
    return "";
}

} // namespace ublk
