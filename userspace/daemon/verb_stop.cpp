// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd stop`: takes a disk away from its users.
#include <string>

#include <nlohmann/json.hpp>
#include <ublk/control.h>

#include "device.h"
#include "output.h"
#include "removal.h"
#include "verb.h"

namespace ublk::daemon {

namespace {

class StopVerb final : public Verb {
public:
    std::string_view name() const override { return "stop"; }
    std::string_view summary() const override { return "take a disk away from its users"; }

    void declare(Arguments& arguments) override {
        arguments.word("DEV", device_, "/dev/ublkbN, ublkbN or N", Need::required);
        arguments.flag("--safe", safe_, "only if nobody has it open, which the driver decides");
    }

    std::string notes() const override {
        return "\nRequests that the server has are finished, later ones fail. A server of ours "
               "then\n"
               "deletes the device and exits; a device of another program is left to that "
               "program.\n"
               "Without --safe mounts and open files do not keep it. ublkd del refuses those, and\n"
               "deletes devices of other programs, too.\n";
    }

    Result<Exit> run(const Context& context) override {
        auto number = parse_device(device_);
        if (!number)
            return number.error();
        auto control = Control::open();
        if (!control)
            return control.error();
        const auto info = find_device(*control, *number);
        if (!info)
            return info.error();
        auto stopped =
            stop_device(context.paths, *control, *number, safe_ ? Stop::safely : Stop::always);
        if (!stopped)
            return blame_server(context.paths, *info, stopped.error());
        if (context.json)
            print_json({{"device", context.paths.block_node(*number)}, {"id", *number}});
        return Exit::ok;
    }

private:
    std::string device_;
    bool safe_ = false;
};

} // namespace

std::unique_ptr<Verb> make_stop() { return std::make_unique<StopVerb>(); }

} // namespace ublk::daemon
