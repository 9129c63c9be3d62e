// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the place of the last word in the description of its verb, and what there is for that.
#include "completion.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <ublk/control.h>

#include "../targets/layers.h"
#include "../targets/registry.h"
#include "file.h"
#include "names.h"
#include "state.h"

namespace ublk::daemon {

namespace {

class Finder {
public:
    Finder(const Verbs& verbs, std::span<const std::string> words, const Paths& paths)
        : verbs_(verbs), words_(words.first(words.size() - 1)), last_(words.back()), paths_(paths) {
    }

    Suggestions find() {
        if (words_.empty()) {
            add_verbs();
        } else if (auto verb = find_verb(verbs_, words_.front())) {
            description_ = describe(**verb);
            find_argument();
        }
        return std::move(found_);
    }

private:
    void add(std::string word, std::string_view help) {
        if (word.starts_with(last_))
            found_.words.push_back({std::move(word), std::string(help)});
    }

    void add_verbs() {
        for (const auto& verb : verbs_)
            add(std::string(verb->name()), verb->summary());
    }

    void find_argument() {
        if (const auto* option = option_of(words_.back()); option && !option->unit.empty())
            return add_values(*option, "");
        const auto equals = last_.find('=');
        if (last_.starts_with("--") && equals != std::string::npos) {
            if (const auto* option = option_of(last_.substr(0, equals)))
                add_values(*option, last_.substr(0, equals + 1));
        } else if (last_.starts_with('-')) {
            for (const ArgumentDescription& option : description_.options)
                for (const std::string& flag : option.flags())
                    add(flag, option.help);
        } else {
            add_word();
        }
    }

    const ArgumentDescription* option_of(std::string_view flag) const {
        for (const ArgumentDescription& option : description_.options)
            for (const std::string& one : option.flags())
                if (one == flag)
                    return &option;
        return nullptr;
    }

    // The words before the last that are neither options nor their values.
    std::vector<std::string> words_before() const {
        std::vector<std::string> plain;
        for (std::size_t i = 1; i < words_.size(); ++i) {
            if (!words_[i].starts_with('-')) {
                plain.push_back(words_[i]);
                continue;
            }
            const auto* option = option_of(words_[i]);
            i += option && !option->unit.empty();
        }
        return plain;
    }

    void add_word() {
        const auto before = words_before();
        const auto& words = description_.words;
        if (words.empty() || (before.size() >= words.size() && !words.back().repeats))
            return;
        const auto& word = words[std::min(before.size(), words.size() - 1)];
        for (const std::string& value : word.values)
            add(value, word.help);
        if (word.name == "VERB")
            add_verbs();
        else if (word.name == "TARGET")
            add_names(targets::all());
        else if (word.name == "FILTER")
            add_names(targets::filters());
        else if (word.name == "DEV")
            add_devices();
        else if (word.name == "NAME" && !before.empty())
            add_layers(before.front());
        else if (word.name == "KEY=VALUE" && !before.empty())
            add_keys_behind(before);
        else if (word.name == "SHELL")
            for (std::string& shell : completed_shells())
                add(std::move(shell), "");
    }

    void add_values(const ArgumentDescription& option, const std::string& in_front) {
        for (const std::string& value : option.values)
            add(in_front + value, "");
        if (option.unit == "FILE" || option.unit == "DIR")
            add_files(in_front);
        else if (option.unit.starts_with("NAME[:"))
            add_filter(in_front);
        else if (option.unit.starts_with("'TARGET "))
            add_names(targets::all()); // what follows is in the same word, quoted
        else if (option.unit == "LAYER" && !words_before().empty())
            add_layers(words_before().front());
    }

    void add_files(const std::string& in_front) {
        found_.files = true;
        found_.in_front = in_front;
    }

    void add_names(std::span<const TargetInfo* const> infos) {
        for (const TargetInfo* info : infos)
            add(std::string(info->name), info->summary);
    }

    // Whoever types digits gets digits.
    void add_devices() {
        for (const std::string& name : list_directory(paths_.sys + "/class/ublk-char")) {
            const std::string number = name.substr(std::min(name.size(), name.find("ublkc") + 5));
            const bool is_digit = !last_.empty() && last_.find_first_not_of("0123456789") == npos;
            if (is_digit)
                add(number, "");
            else if (last_.starts_with('u'))
                add("ublkb" + number, "");
            else
                add(paths_.dev + "/ublkb" + number, "");
        }
    }

    std::vector<targets::PlacedLayer> layers_of_disk(std::string_view device) const {
        const auto number = parse_device(device);
        if (!number)
            return {};
        const auto record = StateDirectory(paths_).read(*number);
        return record && *record ? targets::layers_of((*record)->stack())
                                 : std::vector<targets::PlacedLayer>{};
    }

    void add_layers(std::string_view device) {
        for (const targets::PlacedLayer& layer : layers_of_disk(device)) {
            const TargetInfo* info = targets::info_of(layer);
            add(layer.label, info ? info->summary : "");
        }
    }

    // Of a target to be, or of a layer that a disk has: TARGET KEY=VALUE..., DEV NAME KEY=VALUE...
    void add_keys_behind(const std::vector<std::string>& before) {
        if (description_.words.front().name == "TARGET") {
            const auto info = targets::find(before.front());
            return add_keys(info ? *info : nullptr, "", last_);
        }
        const auto layers = layers_of_disk(before.front());
        const auto place = targets::find_layer(layers, before[1]);
        add_keys(place ? targets::info_of(layers[*place]) : nullptr, "", last_);
    }

    // Of "file=/tm" the key, or a value of it that is known.
    void add_keys(const TargetInfo* info, const std::string& in_front, std::string_view typed) {
        if (!info)
            return;
        const auto equals = typed.find('=');
        for (const OptionInfo& option : info->options) {
            const std::string start = in_front + std::string(option.name) + "=";
            if (equals == std::string_view::npos)
                add(start, option.help);
            else if (option.name != typed.substr(0, equals))
                continue;
            else if (option.type == OptionType::path)
                add_files(start);
            else if (option.type == OptionType::yes_no)
                for (const char* value : {"yes", "no"})
                    add(start + value, option.help);
        }
    }

    // NAME:KEY=VALUE,KEY=VALUE
    void add_filter(const std::string& in_front) {
        const auto colon = last_.find(':', in_front.size());
        if (colon == std::string::npos) {
            for (const TargetInfo* info : targets::filters())
                add(in_front + std::string(info->name), info->summary);
            return;
        }
        const auto last = last_.find_last_of(":,") + 1;
        const auto info =
            targets::find_filter(last_.substr(in_front.size(), colon - in_front.size()));
        add_keys(info ? *info : nullptr, last_.substr(0, last),
                 std::string_view(last_).substr(last));
    }

    static constexpr auto npos = std::string::npos;
    const Verbs& verbs_;
    std::span<const std::string> words_; // before the last
    const std::string& last_;
    const Paths& paths_;
    VerbDescription description_{};
    Suggestions found_{};
};

// Takes the line apart itself: bash breaks words at '=' and ':', and wants back what is behind
// these only.
constexpr std::string_view bash_script = R"SH(# Completion of ublkd for bash, by ublkd itself.
_ublkd() {
    local line=${COMP_LINE:0:COMP_POINT} last kept word file
    local -a words
    # Without -r: what was escaped is part of a word.
    read -a words <<<"$line"
    [[ $line != *[[:space:]] ]] || words+=("")
    last=${words[-1]}
    kept=${last%"${last##*[=:]}"}
    [[ $COMP_WORDBREAKS == *=* && $COMP_WORDBREAKS == *:* ]] || kept=
    while IFS=$'\t' read -r word _; do
        if [[ $word == :files* ]]; then
            word=${word#:files}
            compopt -o filenames
            while IFS= read -r file; do
                COMPREPLY+=("${file}")
            done < <(compgen -f -- "${last#"$word"}")
            continue
        fi
        [[ $word != *[=:/] ]] || compopt -o nospace
        COMPREPLY+=("${word#"$kept"}")
    done < <("${words[0]}" completion words -- "${words[@]:1}" 2>/dev/null)
}
complete -F _ublkd ublkd
)SH";

constexpr std::string_view zsh_script = R"SH(#compdef ublkd
# Completion of ublkd for zsh, by ublkd itself.
_ublkd() {
    local line word
    local -a asked
    asked=("${(@)words[2,CURRENT]}")
    for line in "${(@f)$(_call_program words ublkd completion words -- "${(@q)asked}" 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        case $word in
            :files*)
                compset -P "${(b)word#:files}"
                _files
                ;;
            *[=:/]) compadd -S '' -- "$word" ;;
            ?*) compadd -l -d "( ${(qqq):-${word}  ${line#*$'\t'}} )" -- "$word" ;;
        esac
    done
}
if [ "$funcstack[1]" = _ublkd ]; then
    _ublkd "$@"
else
    compdef _ublkd ublkd
fi
)SH";

constexpr std::string_view fish_script = R"SH(# Completion of ublkd for fish, by ublkd itself.
function __ublkd_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] completion words -- $words[2..-1] 2>/dev/null)
        if string match -q ':files*' -- $line
            set -l front (string replace ':files' '' -- $line)
            set -l typed (string replace -- $front '' $words[-1])
            for file in $typed*
                test -d $file; and set file $file/
                printf '%s%s\n' $front $file
            end
        else
            printf '%s\n' $line
        end
    end
end
complete -c ublkd -f -a '(__ublkd_complete)'
)SH";

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> scripts{{
    {"bash", bash_script},
    {"zsh", zsh_script},
    {"fish", fish_script},
}};

} // namespace

Suggestions suggest(const Verbs& verbs, std::span<const std::string> words, const Paths& paths) {
    return words.empty() ? Suggestions{} : Finder(verbs, words, paths).find();
}

Result<std::string_view> completion_script(std::string_view shell) {
    for (const auto& [name, script] : scripts)
        if (name == shell)
            return script;
    return Error{EINVAL, fmt::format("unknown shell '{}'", shell), "shells: bash, zsh, fish",
                 ErrorKind::usage};
}

std::vector<std::string> completed_shells() {
    std::vector<std::string> names;
    names.reserve(scripts.size());
    for (const auto& [name, script] : scripts)
        names.emplace_back(name);
    return names;
}

} // namespace ublk::daemon
