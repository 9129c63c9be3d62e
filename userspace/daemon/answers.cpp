// SPDX-License-Identifier: GPL-2.0-or-later
// What a server answers to those who ask it, while it serves.
#include <array>
#include <cerrno>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "../targets/layers.h"
#include "../targets/settings.h"
#include "report.h"
#include "server_commands.h"

namespace ublk::daemon {

using nlohmann::json;

namespace {

SizeRequest decode_size(const json& packed) {
    SizeRequest request;
    if (!packed.at("bytes").is_null())
        request.bytes = packed.at("bytes").get<std::uint64_t>();
    request.may_shrink = packed.at("may_shrink").get<bool>();
    return request;
}

Result<json> resize(const Served& served, const json& asked) {
    auto resized = served.server.resize(decode_size(asked));
    if (!resized)
        return resized.error();
    return json{{"before", resized->before}, {"after", resized->after}};
}

// Pairs, in their order.
json encode(const Reply& reply) {
    json lines = json::array();
    for (const auto& [name, value] : reply)
        lines.push_back(json::array({name, value}));
    return lines;
}

// One that is known, but was not there when the disk came up, as of a mirror that goes on with what
// is left of it.
Result<Target*> target_of(const Served& served, const targets::PlacedLayer& placed,
                          std::size_t place) {
    Target* const target = served.layers.at(place);
    if (target)
        return target;
    return Error{ENODEV, "layer '" + placed.label + "'", "the disk is served without it",
                 ErrorKind::backend};
}

bool is_no_command(const Error& error) {
    return error.code == EOPNOTSUPP && error.kind == ErrorKind::usage;
}

// A layer that cannot be changed has what it was made with.
Result<Reply> tell_settings(const Served& served, const targets::PlacedLayer& placed,
                            std::size_t place) {
    auto target = target_of(served, placed, place);
    if (!target)
        return target.error();
    auto told = served.server.command(placed.layer.name, {}, *target);
    if (told || !is_no_command(told.error()))
        return told;
    auto values = targets::values_of(placed);
    const TargetInfo* info = targets::info_of(placed);
    if (!values || !info)
        return values.error();
    return targets::Settings::describe(info->options, *values);
}

// Words whose values are no values never get so far as to be written down.
Result<void> check_words(const targets::PlacedLayer& placed,
                         const std::vector<std::string>& words) {
    auto values = targets::values_of(placed);
    const TargetInfo* info = targets::info_of(placed);
    if (!values || !info)
        return values.error();
    const targets::Settings now{info->options, *values};
    auto changed = now.changed_by(words);
    return changed ? Result<void>{} : in_context(placed.label, changed.error());
}

void change(targets::Layer& layer, const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        const auto equals = word.find('=');
        if (equals + 1 == word.size())
            layer.options.erase(word.substr(0, equals));
        else
            layer.options[word.substr(0, equals)] = word.substr(equals + 1);
    }
}

// Written down first: a server that dies in between has a successor that does as the user said. If
// the layer refuses, all is as it was.
Result<Reply> change_settings(const Served& served, const targets::PlacedLayer& placed,
                              std::size_t place, const std::vector<std::string>& words) {
    if (auto valid = check_words(placed, words); !valid)
        return valid.error();
    auto target = target_of(served, placed, place);
    if (!target)
        return target.error();
    ServerRecord changed = served.record;
    targets::Stack stack = changed.stack();
    change(targets::layer_at(stack, place), words);
    changed.set_stack(stack);
    if (auto written = served.state.write(changed); !written)
        return written.error();
    auto told = served.server.command(placed.layer.name, words, *target);
    if (told) {
        served.record = changed;
        return told;
    }
    if (auto restored = served.state.write(served.record); !restored)
        return restored.error();
    if (is_no_command(told.error()))
        return Error{EOPNOTSUPP, placed.label,
                     "its settings cannot be changed while there is a disk: del it, and add it "
                     "with others",
                     ErrorKind::usage};
    return told.error().step.starts_with(placed.layer.name)
               ? told
               : Result<Reply>{in_context(placed.label, told.error())};
}

Result<json> settings(const Served& served, const json& asked) {
    const auto layers = targets::layers_of(served.record.stack());
    auto place = targets::find_layer(layers, asked.at("layer").get<std::string>());
    if (!place)
        return place.error();
    const auto words = asked.at("words").get<std::vector<std::string>>();
    auto told = words.empty() ? tell_settings(served, layers[*place], *place)
                              : change_settings(served, layers[*place], *place, words);
    if (!told)
        return told.error();
    return encode(*told);
}

// Settings that changed behind the record's back would be gone with this server.
Result<void> check_no_settings(const std::vector<targets::PlacedLayer>& layers,
                               const std::string& name) {
    for (const targets::PlacedLayer& placed : layers)
        if (placed.layer.name == name)
            return Error{EINVAL, "command '" + name + "'",
                         "that is a layer; ublkd filter tells and changes its settings",
                         ErrorKind::usage};
    return {};
}

Result<json> command(const Served& served, const json& asked) {
    const auto layers = targets::layers_of(served.record.stack());
    const auto label = asked.at("layer").get<std::string>();
    const auto name = asked.at("name").get<std::string>();
    const auto words = asked.at("words").get<std::vector<std::string>>();
    if (auto allowed = check_no_settings(layers, name); !allowed)
        return allowed.error();
    Target* layer = nullptr;
    if (!label.empty()) {
        auto place = targets::find_layer(layers, label);
        if (!place)
            return place.error();
        auto target = target_of(served, layers[*place], *place);
        if (!target)
            return target.error();
        layer = *target;
    }
    auto told = served.server.command(name, words, layer);
    if (!told)
        return told.error();
    return encode(*told);
}

// Layers count in the order in which they stand: the n-th that counts something of a name is the
// n-th of those that are called so.
json encode(const Metrics& metrics, const std::vector<targets::PlacedLayer>& layers) {
    std::map<std::pair<std::string, std::string>, std::size_t> seen;
    json counts = json::array();
    for (const Metrics::Entry& entry : metrics.entries()) {
        const std::size_t ordinal = ++seen[{entry.layer, entry.name}];
        // One that stands on others names theirs itself: "1/error".
        auto place = targets::find_layer(layers, entry.layer + "#" + std::to_string(ordinal));
        const std::string& label = place ? layers[*place].label : entry.layer;
        counts.push_back(json::array({label, entry.name, entry.value}));
    }
    return counts;
}

Result<json> counts(const Served& served, const json&) {
    const Statistics statistics = served.server.statistics();
    json operations = json::array();
    for (const OperationStatistics& one : statistics.operations)
        operations.push_back(json::array({one.requests, one.bytes, one.errors}));
    return json{
        {"operations", operations},
        {"rejected", statistics.rejected},
        {"contract_violations", statistics.contract_violations},
        {"refused_answers", statistics.refused_answers},
        {"frame_heap_allocations", statistics.frame_heap_allocations},
        {"layers", encode(served.server.metrics(), targets::layers_of(served.record.stack()))}};
}

Result<json> status(const Served& served, const json&) {
    const std::optional<bool> direct = served.server.target().is_direct();
    return json{{"direct", direct ? json(*direct) : json{}},
                {"remarks", served.server.target().remarks()},
                {"short_for_seconds", served.server.statistics().short_for_seconds}};
}

struct Command {
    const char* name;
    Result<json> (*execute)(const Served& served, const json& asked);
};

constexpr std::array commands{Command{"resize", resize}, Command{"settings", settings},
                              Command{"command", command}, Command{"counts", counts},
                              Command{"status", status}};

} // namespace

Result<json> execute_command(const Served& served, const json& command) {
    try {
        if (command.at("mark") != served.server.info().mark)
            return Error{ENODEV, "ask the server of " + served.server.path(),
                         "its number is another device's by now; see ublkd list"};
        for (const Command& known : commands)
            if (command.contains(known.name))
                return known.execute(served, command.at(known.name));
    } catch (const json::exception&) { // like one that is not known
    }
    return Error{EBADMSG, "understand the command", "is the server of another version?"};
}

} // namespace ublk::daemon
