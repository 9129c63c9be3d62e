// SPDX-License-Identifier: GPL-2.0-or-later
// Settings are the options of a layer that can be changed while it serves: what they are by now,
// and what they would be after a change.
#ifndef UBLK_TARGETS_SETTINGS_H
#define UBLK_TARGETS_SETTINGS_H

#include <span>
#include <string>

#include <ublk/target.h>

namespace ublk::targets {

// By one thread at a time.
class Settings {
public:
    // `known` must outlive this.
    Settings(std::span<const OptionInfo> known, const OptionValues& values)
        : known_(known), values_(values) {}

    // All values as they would be by words of `key=value`, and `key=` for the default. Fails as
    // parse_options() does. Changes nothing yet: the layer may have more to say.
    Result<OptionValues> changed_by(std::span<const std::string> words) const;
    void accept(const OptionValues& values) { values_ = values; }

    // For Target::command() of a layer that takes whatever the options allow: `apply` gets the
    // values once they are accepted.
    template <class Apply> Result<Reply> change(std::span<const std::string> words, Apply&& apply) {
        auto values = changed_by(words);
        if (!values)
            return values.error();
        accept(*values);
        apply(*values);
        return reply();
    }

    // For Target::command().
    Reply reply() const { return describe(known_, values_); }
    // Every option with its value, which is empty if it is not set.
    static Reply describe(std::span<const OptionInfo> known, const OptionValues& values);

private:
    std::span<const OptionInfo> known_;
    OptionValues values_;
};

// Whether the words are about that option.
bool names(std::span<const std::string> words, std::string_view option);

} // namespace ublk::targets

#endif
