// SPDX-License-Identifier: GPL-2.0-or-later
// Puts what is set and what is to change together, for parse_options() to judge.
#include "settings.h"

#include <algorithm>
#include <vector>

namespace ublk::targets {

namespace {

bool is_about(const std::string& word, std::string_view option) {
    return word.size() > option.size() && word.starts_with(option) && word[option.size()] == '=';
}

bool is_reset(const std::string& word) { return word.find('=') + 1 == word.size(); }

} // namespace

bool names(std::span<const std::string> words, std::string_view option) {
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& word) { return is_about(word, option); });
}

// What was not named stands in front. Of a key that is given back to its default no word is left,
// unless parse_options() is to complain of it: that it is unknown, or given twice.
Result<OptionValues> Settings::changed_by(std::span<const std::string> words) const {
    std::vector<std::string> all(words.begin(), words.end());
    for (const OptionInfo& option : known_) {
        const auto about = [&](const std::string& word) { return is_about(word, option.name); };
        if (std::count_if(all.begin(), all.end(), about) == 1)
            std::erase_if(all, [&](const auto& word) { return about(word) && is_reset(word); });
        else if (!names(words, option.name) && values_.is_set(option.name))
            all.push_back(std::string(option.name) + "=" + values_.text(option.name));
    }
    return parse_options(known_, all);
}

Reply Settings::describe(std::span<const OptionInfo> known, const OptionValues& values) {
    Reply reply;
    for (const OptionInfo& option : known)
        reply.emplace_back(option.name, values.text(option.name));
    return reply;
}

} // namespace ublk::targets
