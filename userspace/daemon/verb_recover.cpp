// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd recover`: brings a new server to a device that has lost its own.
#include <string>

#include <ublk/control.h>

#include "device.h"
#include "serve.h"
#include "start.h"
#include "verb.h"

namespace ublk::daemon {

namespace {

class Recover final : public Verb {
public:
    std::string_view name() const override { return "recover"; }
    std::string_view summary() const override {
        return "bring a new server to a device that has lost its own";
    }

    void declare(Arguments& arguments) override {
        arguments.word("DEV", device_, "/dev/ublkbN, ublkbN or N", Need::required);
        arguments.flag("--other-backing", other_backing_,
                       "even if its file or disk is not the one that it was");
        arguments.flag("--foreground", foreground_, "serve in this process, until Ctrl-C");
    }

    std::string notes() const override {
        return "\nFor devices in the states quiesced and fail_io: after ublkd quiesce, or when "
               "the\n"
               "server was killed. The new server has the target, the options and the data of the\n"
               "old one; I/O that waits goes on. If it fails the device goes on waiting.\n"
               "A name that means another file or disk by now is refused, for instance after a "
               "copy\n"
               "in place of the file, or when a disk was plugged in again; whoever knows that it "
               "has\n"
               "the same data insists with --other-backing.\n";
    }

    Result<Exit> run(const Context& context) override {
        auto number = parse_device(device_);
        if (!number)
            return number.error();
        const auto service = [&](const Announce& announce) {
            return take_over(*number, other_backing_ ? BackingWanted::any : BackingWanted::same,
                             context.paths, announce);
        };
        auto done = foreground_ ? start_here(service, context) : take_over_behind(service, context);
        if (!done)
            return done.error();
        return Exit::ok;
    }

private:
    std::string device_;
    bool foreground_ = false;
    bool other_backing_ = false;
};

} // namespace

std::unique_ptr<Verb> make_recover() { return std::make_unique<Recover>(); }

} // namespace ublk::daemon
