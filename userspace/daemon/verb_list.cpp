// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd list`: every ublk device that the driver knows, whoever serves it.
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <ublk/control.h>
#include <ublk/recovery.h>

#include "device.h"
#include "number.h"
#include "output.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

class List final : public Verb {
public:
    std::string_view name() const override { return "list"; }
    std::string_view summary() const override { return "list all ublk devices"; }
    void declare(Arguments&) override {}

    Result<Exit> run(const Context& context) override {
        auto control = Control::open();
        if (!control)
            return control.error();
        const auto list = control->list();
        if (!list)
            return list.error();
        std::vector<Device> devices;
        for (const DeviceInfo& info : list->devices)
            devices.push_back(describe_device(context.paths, *control, info));
        if (context.json)
            print_json({{"devices", as_json(devices)}, {"errors", as_json(list->errors)}});
        else
            print(as_table(devices));
        for (const Error& error : list->errors)
            if (!context.json)
                print_error_line(error_line("list", error));
        return list->errors.empty() ? Exit::ok : Exit::partial;
    }

private:
    static ordered_json as_json(const std::vector<Device>& devices) {
        ordered_json list = ordered_json::array();
        for (const Device& device : devices)
            list.push_back(summary_json(device));
        return list;
    }

    static ordered_json as_json(const std::vector<Error>& errors) {
        ordered_json list = ordered_json::array();
        for (const Error& error : errors)
            list.push_back(error_json(error));
        return list;
    }

    static std::string name_of_disk(const Device& device) {
        return device.record && !device.record->name.empty() ? device.record->name : "-";
    }

    static std::string as_table(const std::vector<Device>& devices) {
        std::vector<Row> rows{{"DEVICE", "NAME", "TARGET", "SIZE", "STATE", "RECOVERY", "PID"}};
        for (const Device& device : devices)
            rows.push_back({block_device_path(device.info.number), name_of_disk(device),
                            device.record ? device.record->target : "-",
                            device.geometry ? format_size(device.geometry->size_bytes) : "-",
                            device_state(device),
                            std::string(name_of(recovery_of(device.info.features))),
                            device.info.server > 0 ? std::to_string(device.info.server) : "-"});
        return format_table(rows);
    }
};

} // namespace

std::unique_ptr<Verb> make_list() { return std::make_unique<List>(); }

} // namespace ublk::daemon
