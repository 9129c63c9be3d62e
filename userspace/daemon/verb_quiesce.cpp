// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd quiesce`: sends a device's server away, for another one to come.
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ublk/control.h>
#include <ublk/recovery.h>
#include <ublk/retry.h>

#include "device.h"
#include "number.h"
#include "output.h"
#include "process.h"
#include "verb.h"

namespace ublk::daemon {

namespace {

constexpr std::uint64_t usual_patience = 10; // seconds
constexpr std::uint64_t longest_patience = 3600;
// Above what a server of ours gives its target to finish.
constexpr std::chrono::seconds farewell_limit{20};

bool lacks_server(DeviceState state) {
    return state == DeviceState::quiesced || state == DeviceState::fail_io;
}

class Quiesce final : public Verb {
public:
    std::string_view name() const override { return "quiesce"; }
    std::string_view summary() const override {
        return "send a device's server away; recover brings the next one";
    }

    void declare(Arguments& arguments) override {
        arguments.word("DEV", device_, "/dev/ublkbN, ublkbN or N", Need::required);
        arguments.option("--timeout", "SECONDS", timeout_,
                         "how long a server may be too busy to go (default 10)");
    }

    std::string notes() const override {
        return "\nThe device stays, with all who use it. What its server has is finished; from "
               "then\n"
               "on I/O waits, with --recovery=fail it fails, until ublkd recover. Returns when "
               "the\n"
               "server has exited. A server that stays busy in all tags of a queue goes on "
               "serving,\n"
               "and the exit code is 4.\n";
    }

    Result<Exit> run(const Context& context) override {
        auto number = parse_device(device_);
        if (!number)
            return number.error();
        auto patience = parse_patience();
        if (!patience)
            return patience.error();
        auto control = Control::open();
        if (!control)
            return control.error();
        auto info = find_device(*control, *number);
        if (!info)
            return info.error();
        if (auto can = can_be_quiesced(*info); !can)
            return can.error();
        if (auto quiesced = control->quiesce(*number, *patience); !quiesced)
            return blame_server(context.paths, *info, quiesced.error());
        auto left = wait_until_left(*control, *info);
        if (!left)
            return blame_server(context.paths, *info, left.error());
        if (context.json)
            print_json({{"device", context.paths.block_node(*number)},
                        {"id", *number},
                        {"state", name_of(left->state)}});
        return Exit::ok;
    }

private:
    Result<Milliseconds> parse_patience() const {
        if (!timeout_)
            return Milliseconds{usual_patience * 1000};
        auto seconds = parse_number_in("--timeout", *timeout_, {1, longest_patience});
        if (!seconds)
            return seconds.error();
        return Milliseconds{*seconds * 1000};
    }

    static Result<void> can_be_quiesced(const DeviceInfo& info) {
        if (recovery_of(info.features) != Recovery::off)
            return {};
        return Error{EINVAL, "quiesce " + block_device_path(info.number),
                     "it was added without recovery; see --recovery in ublkd help add",
                     ErrorKind::usage};
    }

    // The state changes when the server has closed the device, which is before it has exited.
    static Result<DeviceInfo> wait_until_left(Control& control, const DeviceInfo& before) {
        const ProcessHandle server(before.server);
        const Deadline limit = Clock::now() + farewell_limit;
        auto last = retry_until(
            limit, [&] { return find_device(control, before.number); },
            [&](const Result<DeviceInfo>& info) {
                return info && info->mark == before.mark && !lacks_server(info->state);
            });
        if (!last)
            return last;
        if (last->mark != before.mark)
            return Error{ENODEV, "quiesce " + block_device_path(before.number),
                         "it was deleted meanwhile, and its number is another device's; see ublkd "
                         "list"};
        if (lacks_server(last->state) && server.wait_until_gone(limit))
            return last;
        return Error{ETIMEDOUT,
                     fmt::format("server {} of {} does not go", before.server,
                                 block_device_path(before.number)),
                     fmt::format("end it with kill -9 {0}, then ublkd recover {1}", before.server,
                                 before.number)};
    }

    std::string device_;
    std::optional<std::string> timeout_;
};

} // namespace

std::unique_ptr<Verb> make_quiesce() { return std::make_unique<Quiesce>(); }

} // namespace ublk::daemon
