// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd show`: all about one device.
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <ublk/control.h>

#include "../targets/layers.h"
#include "device.h"
#include "features.h"
#include "holders.h"
#include "json.h"
#include "output.h"
#include "process.h"
#include "server_commands.h"
#include "state.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

using QueueCpus = std::vector<std::vector<unsigned>>;

QueueCpus queue_cpus(Control& control, const DeviceInfo& info) {
    QueueCpus all;
    for (unsigned queue = 0; queue < info.queues; ++queue) {
        auto cpus = control.queue_cpus(info.number, queue);
        all.push_back(cpus ? *cpus : std::vector<unsigned>{});
    }
    return all;
}

ordered_json zones_json(const Geometry& geometry) {
    if (!geometry.is_zoned())
        return {};
    return {{"count", geometry.size_bytes / geometry.zones.size_bytes},
            {"size", geometry.zones.size_bytes},
            {"max_append", geometry.zones.max_append_bytes},
            {"max_open", geometry.zones.max_open},
            {"max_active", geometry.zones.max_active}};
}

ordered_json geometry_json(const Geometry& geometry) {
    return {{"logical_block_size", geometry.logical_block_size},
            {"physical_block_size", geometry.physical_block_size},
            {"io_min", geometry.io_min},
            {"io_opt", geometry.io_opt},
            {"max_io", geometry.max_io_bytes},
            {"chunk", geometry.chunk_bytes},
            {"dma_alignment", geometry.dma_alignment},
            {"virtual_boundary_mask", geometry.virtual_boundary_mask},
            {"read_only", geometry.read_only},
            {"rotational", geometry.rotational},
            {"volatile_cache", geometry.volatile_cache},
            {"fua", geometry.fua},
            {"max_discard", geometry.discard.max_bytes},
            {"discard_granularity", geometry.discard.granularity},
            {"discard_alignment", geometry.discard.alignment},
            {"max_write_zeroes", geometry.max_write_zeroes_bytes},
            {"zones", zones_json(geometry)}};
}

// A server that is stopped does not answer.
constexpr std::chrono::seconds patience{1};

// Of a device that we have a record of. Nothing if the server is gone, or does not answer.
std::optional<ServerStatus> ask_server(const Paths& paths, const Device& device) {
    if (!device.record || !device.server_alive)
        return std::nullopt;
    const StateDirectory state(paths);
    auto status = ask_for_status({state, device.info, Clock::now() + patience});
    return status ? std::optional{*std::move(status)} : std::nullopt;
}

// As the record says, or as the server does, which knows what has changed since.
ordered_json backing_by_now(const Device& device, const std::optional<ServerStatus>& status) {
    if (!device.record)
        return {};
    BackingRecord backing = device.record->backing;
    if (status) {
        backing.direct = status->direct;
        backing.remarks = status->remarks;
    }
    return backing_json(backing);
}

ordered_json server_json(const Paths& paths, const Device& device,
                         const std::optional<ServerStatus>& status) {
    ordered_json json{{"pid", nullptr}, {"alive", device.server_alive}, {"name", nullptr}};
    if (device.info.server > 0)
        json["pid"] = device.info.server;
    if (device.server_alive)
        json["name"] = process_name(paths, device.info.server);
    if (device.record)
        json["started"] = device.record->started;
    json["short_for_seconds"] = status ? ordered_json(status->short_for_seconds) : ordered_json{};
    return json;
}

ordered_json copy_json(const Device& device) {
    ordered_json json{{"mode", name_of(copy_mode_of(device.info.features))}, {"reason", nullptr}};
    if (device.record) {
        json["reason"] = device.record->copy.reason;
        if (!device.record->shared_file.empty())
            json["shmem"] = device.record->shared_file;
    }
    return json;
}

// Every layer, the outermost first, with the values that its options have by now.
ordered_json stack_json(const ServerRecord& record) {
    ordered_json layers = ordered_json::array();
    for (const targets::PlacedLayer& placed : targets::layers_of(record.stack())) {
        ordered_json options = ordered_json::object();
        const TargetInfo* info = targets::info_of(placed);
        if (auto values = targets::values_of(placed); values && info)
            for (const OptionInfo& option : info->options)
                if (values->is_set(option.name))
                    options[std::string(option.name)] = values->text(option.name);
        layers.push_back({{"layer", placed.label},
                          {"kind", placed.is_filter ? "filter" : "target"},
                          {"depth", placed.depth},
                          {"child", placed.child ? ordered_json(*placed.child) : ordered_json{}},
                          {"options", options}});
    }
    return layers;
}

ordered_json details(const Context& context, Control& control, const DeviceInfo& info) {
    const Device device = describe_device(context.paths, control, info);
    ordered_json json = summary_json(device);
    json.erase("pid");
    const auto status = ask_server(context.paths, device);
    json["server"] = server_json(context.paths, device, status);
    json["options"] = device.record ? ordered_json(device.record->options) : ordered_json{};
    json["filters"] = device.record ? filters_json(device.record->filters) : ordered_json::array();
    json["children"] =
        device.record ? children_json(device.record->children) : ordered_json::array();
    json["stack"] = device.record ? stack_json(*device.record) : ordered_json::array();
    json["backing"] = backing_by_now(device, status);
    json["queues"] = info.queues;
    json["depth"] = info.depth;
    json["max_io_buffer"] = info.max_io_bytes;
    json["queue_cpus"] = queue_cpus(control, info);
    json["copy"] = copy_json(device);
    json["features"] = names_of_features(info.features);
    json["owner"] = {{"user", info.owner_user}, {"group", info.owner_group}};
    json["geometry"] = device.geometry ? geometry_json(*device.geometry) : ordered_json{};
    json["users"] = ordered_json::array();
    for (const Holder& holder : find_holders(context.paths, info.number))
        json["users"].push_back(holder.what);
    return json;
}

std::string plain(const ordered_json& value) {
    if (value.is_null())
        return "-";
    if (value.is_boolean())
        return value.get<bool>() ? "yes" : "no";
    if (value.is_string())
        return value.get<std::string>();
    if (!value.is_array())
        return write_json(value);
    std::vector<std::string> words;
    for (const auto& element : value)
        words.push_back(plain(element));
    return words.empty() ? "-" : fmt::format("{}", fmt::join(words, " "));
}

// One layer per row, what it stands on below it.
void draw_stack(const ordered_json& stack, std::vector<Row>& rows) {
    std::string key = "stack";
    for (const ordered_json& layer : stack) {
        std::string text(2 * layer.at("depth").get<std::size_t>(), ' ');
        if (!layer.at("child").is_null())
            text += fmt::format("{}: ", layer.at("child").get<unsigned>());
        text += layer.at("layer").get<std::string>();
        for (const auto& [name, value] : layer.at("options").items())
            text += fmt::format(" {}={}", name, value.get<std::string>());
        rows.push_back({std::exchange(key, ""), text});
    }
}

// One row for each leaf, "geometry.fua  yes"; the same names as in JSON. Filters and children are
// part of the stack.
void add_rows(const std::string& prefix, const ordered_json& object, std::vector<Row>& rows) {
    for (const auto& [key, value] : object.items()) {
        if (key == "filters" || key == "children")
            continue;
        if (key == "stack")
            draw_stack(value, rows);
        else if (value.is_object())
            add_rows(prefix + key + ".", value, rows);
        else
            rows.push_back({prefix + key, plain(value)});
    }
}

class Show final : public Verb {
public:
    std::string_view name() const override { return "show"; }
    std::string_view summary() const override { return "tell all about a device"; }

    void declare(Arguments& arguments) override {
        arguments.word("DEV", device_, "/dev/ublkbN, ublkbN or N", Need::required);
        arguments.flag("--export", export_, "what the udev rules ask for, also of partitions");
    }

    std::string notes() const override {
        return "\n--export prints UBLK_SERVER=ready, or gone if the disk waits for a server, and\n"
               "UBLK_TARGET and UBLK_NAME as far as known.\n";
    }

    Result<Exit> run(const Context& context) override {
        auto number = parse_device(export_ ? disk_of(device_) : device_);
        if (!number)
            return number.error();
        auto control = Control::open();
        if (!control)
            return control.error();
        auto info = find_device(*control, *number);
        if (!info)
            return info.error();
        if (export_) {
            print_exported(context, *info);
            return Exit::ok;
        }

        ordered_json json = details(context, *control, *info);
        if (context.json) {
            print_json(json);
            return Exit::ok;
        }
        std::vector<Row> rows;
        add_rows("", json, rows);
        print(format_table(rows));
        return Exit::ok;
    }

private:
    // Of ublkb3p1 ublkb3.
    static std::string_view disk_of(std::string_view name) {
        const auto end = name.find_last_not_of("0123456789");
        const bool is_partition = end != std::string_view::npos && end > 0 &&
                                  end + 1 < name.size() && name[end] == 'p' &&
                                  name[end - 1] >= '0' && name[end - 1] <= '9';
        return is_partition ? name.substr(0, end) : name;
    }

    // Quick, since udev waits for it at every event of a disk.
    static void print_exported(const Context& context, const DeviceInfo& info) {
        const bool waits = info.state == DeviceState::quiesced ||
                           info.state == DeviceState::fail_io ||
                           !server_is_alive(context.paths, info);
        ordered_json values{{"UBLK_SERVER", waits ? "gone" : "ready"}};
        if (const auto record = record_of(context.paths, info)) {
            values["UBLK_TARGET"] = record->target;
            if (!record->name.empty())
                values["UBLK_NAME"] = record->name;
        }
        if (context.json)
            print_json(values);
        else
            for (const auto& [key, value] : values.items())
                print(fmt::format("{}={}\n", key, value.get<std::string>()));
    }

    std::string device_;
    bool export_ = false;
};

} // namespace

std::unique_ptr<Verb> make_show() { return std::make_unique<Show>(); }

} // namespace ublk::daemon
