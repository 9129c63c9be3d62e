// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd del`: deletes devices and waits until they have gone.
#include <cerrno>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ublk/control.h>

#include "device.h"
#include "holders.h"
#include "output.h"
#include "removal.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

// What became of each device.
struct Outcomes {
    std::vector<int> deleted{};
    std::vector<std::string> left{}; // of devices on top of those that were deleted by force
    std::vector<Error> errors{};
};

class Del final : public Verb {
public:
    std::string_view name() const override { return "del"; }
    std::string_view summary() const override { return "delete devices"; }

    void declare(Arguments& arguments) override {
        arguments.words("DEV", devices_, "/dev/ublkbN, ublkbN or N");
        arguments.flag("--all", all_, "all devices, of other programs too");
        arguments.flag("--force", force_,
                       "even if in use: its users get I/O errors; kills a server that hangs");
    }

    Result<Exit> run(const Context& context) override {
        if (all_ == !devices_.empty())
            return Error{EINVAL, all_ ? "both DEV and --all" : "no device", "name DEV..., or --all",
                         ErrorKind::usage};
        auto numbers = parse_devices();
        if (!numbers)
            return numbers.error();
        auto control = Control::open();
        if (!control)
            return control.error();
        std::vector<Error> unknown; // devices that the driver cannot be asked about
        if (all_) {
            const auto list = control->list();
            if (!list)
                return list.error();
            for (const DeviceInfo& info : list->devices)
                numbers->push_back(info.number);
            unknown = list->errors;
        }

        Outcomes outcomes = remove_all(context, *control, *numbers);
        outcomes.errors.insert(outcomes.errors.end(), unknown.begin(), unknown.end());
        // One device, one error: reported like that of any other verb.
        if (!all_ && numbers->size() == 1 && !outcomes.errors.empty())
            return outcomes.errors.front();
        print(outcomes, context);
        if (outcomes.errors.empty())
            return Exit::ok;
        return all_ ? Exit::partial : exit_code(outcomes.errors.front());
    }

private:
    Result<std::vector<int>> parse_devices() const {
        std::vector<int> numbers;
        for (const std::string& device : devices_) {
            auto number = parse_device(device);
            if (!number)
                return number.error();
            numbers.push_back(*number);
        }
        return numbers;
    }

    Outcomes remove_all(const Context& context, Control& control,
                        const std::vector<int>& numbers) const {
        Outcomes outcomes;
        for (int number : numbers) {
            const auto info = control.info(number);
            const auto stacked =
                force_ ? find_stacked_devices(context.paths, number) : std::vector<Holder>{};
            auto removed =
                remove_device(context.paths, control, number, force_ ? Force::yes : Force::no);
            if (removed) {
                outcomes.deleted.push_back(number);
                for (const Holder& holder : stacked)
                    outcomes.left.push_back(without_disk(number, holder));
            } else {
                outcomes.errors.push_back(info ? blame_server(context.paths, *info, removed.error())
                                               : removed.error());
            }
        }
        return outcomes;
    }

    static std::string without_disk(int number, const Holder& holder) {
        return fmt::format("{} was {}, which stays without it{}", block_device_path(number),
                           holder.what,
                           holder.way_out.empty() ? "" : "; to get rid of that: " + holder.way_out);
    }

    static void print(const Outcomes& outcomes, const Context& context) {
        if (!context.json) {
            for (const std::string& line : outcomes.left)
                print_error_line("ublkd: del: " + line);
            for (const Error& error : outcomes.errors)
                print_error_line(error_line("del", error));
            return;
        }
        ordered_json deleted = ordered_json::array();
        for (int number : outcomes.deleted)
            deleted.push_back(block_device_path(number));
        ordered_json errors = ordered_json::array();
        for (const Error& error : outcomes.errors)
            errors.push_back(error_json(error));
        ordered_json document{{"deleted", deleted}, {"errors", errors}};
        if (!outcomes.left.empty())
            document["left"] = outcomes.left;
        print_json(document);
    }

    std::vector<std::string> devices_;
    bool all_ = false;
    bool force_ = false;
};

} // namespace

std::unique_ptr<Verb> make_del() { return std::make_unique<Del>(); }

} // namespace ublk::daemon
