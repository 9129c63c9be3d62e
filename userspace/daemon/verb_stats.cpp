// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd stats`: what the servers have counted since they came to serve.
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <ublk/control.h>

#include "claims.h"
#include "device.h"
#include "exposition.h"
#include "output.h"
#include "process.h"
#include "server_commands.h"
#include "state.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

// Of each server: who scrapes has others to ask.
constexpr std::chrono::seconds answer_limit{5};

struct Outcome {
    std::vector<CountedDevice> devices{};
    std::vector<Error> errors{};
};

class Stats final : public Verb {
public:
    std::string_view name() const override { return "stats"; }
    std::string_view summary() const override {
        return "tell how many requests, bytes and errors there were";
    }

    void declare(Arguments& arguments) override {
        arguments.word("DEV", device_, "/dev/ublkbN, ublkbN or N", Need::optional);
        arguments.flag("--all", all_, "of all disks that ublkd serves");
        arguments.flag("--prometheus", prometheus_,
                       "print Prometheus' text exposition format, version 0.0.4");
    }

    std::string notes() const override {
        return "\nThe server itself is asked; it counts since it came to serve, so after recover "
               "it\n"
               "begins at 0. Layers count what they do: error the requests that it failed, rate "
               "and\n"
               "delay those that had to wait, log the lines that it lost.\n"
               "\nWith --all a disk whose server does not answer is told on standard error, has 0 "
               "in\n"
               "ublk_up, and makes the exit code 8. Disks of other programs are left out.\n";
    }

    Result<Exit> run(const Context& context) override {
        if (all_ == !device_.empty())
            return Error{EINVAL, all_ ? "--all and a device" : "no device",
                         "give a device, or --all", ErrorKind::usage};
        if (prometheus_ && context.json)
            return Error{EINVAL, "--prometheus", "leave out that or --json", ErrorKind::usage};
        auto number = all_ ? Result<int>{no_device} : parse_device(device_);
        if (!number)
            return number.error();
        auto control = Control::open();
        if (!control)
            return control.error();
        auto outcome = all_ ? of_all(context, *control) : of_one(context, *control, *number);
        if (!outcome)
            return outcome.error();
        print(*outcome, context);
        return outcome->errors.empty() ? Exit::ok : Exit::partial;
    }

private:
    static Result<Outcome> of_one(const Context& context, Control& control, int number) {
        auto info = find_device(control, number);
        if (!info)
            return info.error();
        auto device = ask(context, *info);
        if (!device)
            return device.error();
        return Outcome{{*std::move(device)}};
    }

    static Result<Outcome> of_all(const Context& context, Control& control) {
        const auto list = control.list();
        if (!list)
            return list.error();
        Outcome outcome{{}, list->errors};
        for (const DeviceInfo& info : list->devices) {
            const auto record = record_of(context.paths, info);
            if (!record)
                continue;
            auto device = ask(context, info);
            if (!device)
                outcome.errors.push_back(device.error());
            outcome.devices.push_back(device ? *std::move(device)
                                             : CountedDevice{info.number, record->target});
        }
        return outcome;
    }

    static Result<CountedDevice> ask(const Context& context, const DeviceInfo& info) {
        auto counts = ask_server_of(context.paths, info, "stats", answer_limit, ask_for_counts);
        if (!counts)
            return counts.error();
        const auto record = record_of(context.paths, info);
        return CountedDevice{info.number, record ? record->target : "", *std::move(counts)};
    }

    void print(const Outcome& outcome, const Context& context) const {
        if (context.json)
            print_json(as_json(outcome));
        else if (prometheus_)
            daemon::print(prometheus_text(outcome.devices));
        else
            daemon::print(counts_table(outcome.devices));
        for (const Error& error : outcome.errors)
            if (!context.json)
                print_error_line(error_line(name(), error));
    }

    static ordered_json as_json(const Outcome& outcome) {
        ordered_json devices = ordered_json::array();
        for (const CountedDevice& device : outcome.devices)
            if (device.counts)
                devices.push_back(counts_json(device));
        ordered_json errors = ordered_json::array();
        for (const Error& error : outcome.errors)
            errors.push_back(error_json(error));
        return {{"devices", devices}, {"errors", errors}};
    }

    std::string device_;
    bool all_ = false;
    bool prometheus_ = false;
};

} // namespace

std::unique_ptr<Verb> make_stats() { return std::make_unique<Stats>(); }

} // namespace ublk::daemon
