// SPDX-License-Identifier: GPL-2.0-or-later
// Families, labels and their escapes.
#include "exposition.h"

#include <array>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ublk/request.h>

#include "table.h"
#include "text.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

// In the order in which they are told; those behind the first five are of zoned disks.
constexpr std::array operations{Op::read,       Op::write,          Op::flush,
                                Op::discard,    Op::write_zeroes,   Op::zone_append,
                                Op::zone_open,  Op::zone_close,     Op::zone_finish,
                                Op::zone_reset, Op::zone_reset_all, Op::report_zones};
constexpr std::size_t usual_operations = 5;

std::vector<Op> operations_of(const Statistics& statistics) {
    std::vector<Op> told;
    for (std::size_t i = 0; i < operations.size(); ++i)
        if (i < usual_operations || statistics.of(operations[i]).requests)
            told.push_back(operations[i]);
    return told;
}

std::string label(std::string_view name, std::string_view value) {
    std::string text = fmt::format("{}=\"", name);
    for (const char character : to_text(value)) {
        if (character == '\\' || character == '"')
            text += '\\';
        if (character == '\n')
            text += "\\n";
        else
            text += character;
    }
    return text + '"';
}

std::string device_label(const CountedDevice& device) {
    return label("dev", fmt::format("ublkb{}", device.number));
}

// A layer may count under any name; in that of a family others have no place.
std::string family_name(std::string_view count) {
    std::string name = "ublk_layer_";
    for (const char character : count) {
        const bool allowed = (character >= 'a' && character <= 'z') ||
                             (character >= 'A' && character <= 'Z') ||
                             (character >= '0' && character <= '9');
        name += allowed ? character : '_';
    }
    return name;
}

// All samples of a family stand together.
class Family {
public:
    Family(std::string name, std::string_view type, std::string_view help)
        : name_(std::move(name)),
          text_(fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name_, help, type)) {}

    void add(const std::string& labels, std::uint64_t value) {
        text_ += fmt::format("{}{{{}}} {}\n", name_, labels, value);
    }
    const std::string& text() const { return text_; }

private:
    std::string name_;
    std::string text_;
};

struct OfOperation {
    const char* name;
    const char* help;
    std::uint64_t OperationStatistics::*value;
};
constexpr std::array of_operations{
    OfOperation{"ublk_requests_total", "Requests that the target has answered.",
                &OperationStatistics::requests},
    OfOperation{"ublk_bytes_total", "Bytes of the requests that succeeded.",
                &OperationStatistics::bytes},
    OfOperation{"ublk_errors_total", "Requests that failed.", &OperationStatistics::errors}};

struct OfDevice {
    const char* name;
    const char* help;
    std::uint64_t Statistics::*value;
};
constexpr std::array of_devices{
    OfDevice{"ublk_rejected_requests_total", "Requests that failed before the target saw them.",
             &Statistics::rejected},
    OfDevice{"ublk_contract_violations_total", "Answers that no such request can have.",
             &Statistics::contract_violations},
    OfDevice{"ublk_refused_answers_total", "Answers of which the driver would not hear.",
             &Statistics::refused_answers},
    OfDevice{"ublk_frame_heap_allocations_total",
             "Coroutine frames that the queue's pool had no room for.",
             &Statistics::frame_heap_allocations}};

std::string up_family(const std::vector<CountedDevice>& devices) {
    Family family("ublk_up", "gauge", "Whether the server of the disk answers.");
    for (const CountedDevice& device : devices)
        family.add(device_label(device) + "," + label("target", device.target),
                   device.counts.has_value());
    return family.text();
}

std::string operation_families(const std::vector<CountedDevice>& devices) {
    std::string text;
    for (const OfOperation& one : of_operations) {
        Family family(one.name, "counter", one.help);
        for (const CountedDevice& device : devices)
            for (const Op op :
                 device.counts ? operations_of(device.counts->statistics) : std::vector<Op>{})
                family.add(device_label(device) + "," + label("op", name_of(op)),
                           device.counts->statistics.of(op).*one.value);
        text += family.text();
    }
    return text;
}

std::string device_families(const std::vector<CountedDevice>& devices) {
    std::string text;
    for (const OfDevice& one : of_devices) {
        Family family(one.name, "counter", one.help);
        for (const CountedDevice& device : devices)
            if (device.counts)
                family.add(device_label(device), device.counts->statistics.*one.value);
        text += family.text();
    }
    return text;
}

// Which of them only grow, only the layers know.
std::string layer_families(const std::vector<CountedDevice>& devices) {
    std::map<std::string, Family> families;
    for (const CountedDevice& device : devices)
        for (const LayerCount& count :
             device.counts ? device.counts->layers : std::vector<LayerCount>{}) {
            const std::string name = family_name(count.name);
            families.try_emplace(name, name, "untyped", "Counted by a layer of the disk.")
                .first->second.add(device_label(device) + "," + label("layer", count.layer),
                                   count.value);
        }
    std::string text;
    for (const auto& [name, family] : families)
        text += family.text();
    return text;
}

} // namespace

std::string prometheus_text(const std::vector<CountedDevice>& devices) {
    return up_family(devices) + operation_families(devices) + device_families(devices) +
           layer_families(devices);
}

ordered_json counts_json(const CountedDevice& device) {
    const Statistics& statistics = device.counts->statistics;
    ordered_json told = ordered_json::object();
    for (const Op op : operations_of(statistics)) {
        const OperationStatistics& one = statistics.of(op);
        told[name_of(op)] = {
            {"requests", one.requests}, {"bytes", one.bytes}, {"errors", one.errors}};
    }
    ordered_json layers = ordered_json::array();
    for (const LayerCount& count : device.counts->layers)
        layers.push_back({{"layer", count.layer}, {"name", count.name}, {"value", count.value}});
    return {{"device", block_device_path(device.number)},
            {"id", device.number},
            {"target", device.target},
            {"requests", statistics.requests},
            {"operations", told},
            {"rejected", statistics.rejected},
            {"contract_violations", statistics.contract_violations},
            {"refused_answers", statistics.refused_answers},
            {"frame_heap_allocations", statistics.frame_heap_allocations},
            {"layers", layers}};
}

std::string counts_table(const std::vector<CountedDevice>& devices) {
    std::vector<Row> rows{{"DEVICE", "COUNTED", "REQUESTS", "BYTES", "ERRORS"}};
    for (const CountedDevice& device : devices) {
        if (!device.counts)
            continue;
        const std::string path = block_device_path(device.number);
        const Statistics& statistics = device.counts->statistics;
        for (const Op op : operations_of(statistics)) {
            const OperationStatistics& one = statistics.of(op);
            rows.push_back({path, name_of(op), std::to_string(one.requests),
                            std::to_string(one.bytes), std::to_string(one.errors)});
        }
        if (statistics.rejected)
            rows.push_back({path, "rejected", std::to_string(statistics.rejected)});
        for (const LayerCount& count : device.counts->layers)
            rows.push_back({path, count.layer + " " + count.name, std::to_string(count.value)});
    }
    return format_table(rows);
}

} // namespace ublk::daemon
