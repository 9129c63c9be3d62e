// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd reclaim`: frees what programs that died have left behind.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ublk/control.h>

#include "leftovers.h"
#include "output.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

std::string_view name_of(Leftover::Kind kind) {
    return kind == Leftover::Kind::device ? "device" : "record";
}

class Reclaim final : public Verb {
public:
    std::string_view name() const override { return "reclaim"; }
    std::string_view summary() const override {
        return "show what programs that died have left behind, and free it";
    }
    void declare(Arguments& arguments) override {
        arguments.flag("--yes", yes_, "free it; without this nothing is changed");
    }
    std::string notes() const override {
        return "\nThat is: devices of any program whose server has died and that cannot be "
               "recovered,\ndevices that never got one, and records of devices that are gone. A "
               "disk that waits for\nublkd recover is none, nor is one that somebody uses.\n";
    }

    Result<Exit> run(const Context& context) override {
        auto control = Control::open();
        if (!control)
            return control.error();
        auto leftovers = find_leftovers(context.paths, *control);
        if (!leftovers)
            return leftovers.error();
        std::vector<Error> errors;
        if (yes_)
            for (const Leftover& leftover : *leftovers)
                if (auto removed = remove_leftover(context.paths, *control, leftover); !removed)
                    errors.push_back(removed.error());
        print(*leftovers, errors, context);
        return errors.empty() ? Exit::ok : Exit::partial;
    }

private:
    void print(const std::vector<Leftover>& leftovers, const std::vector<Error>& errors,
               const Context& context) const {
        ordered_json list = ordered_json::array();
        std::vector<Row> rows;
        for (const Leftover& leftover : leftovers) {
            list.push_back({{"id", leftover.number},
                            {"kind", name_of(leftover.kind)},
                            {"what", leftover.what}});
            rows.push_back({std::to_string(leftover.number), std::string(name_of(leftover.kind)),
                            leftover.what});
        }
        if (context.json) {
            ordered_json failed = ordered_json::array();
            for (const Error& error : errors)
                failed.push_back(error_json(error));
            print_json({{"leftovers", list}, {"freed", yes_}, {"errors", failed}});
            return;
        }
        daemon::print(format_table(rows));
        for (const Error& error : errors)
            print_error_line(error_line("reclaim", error));
        if (!yes_ && !leftovers.empty())
            daemon::print("nothing was changed; ublkd reclaim --yes frees this\n");
    }

    bool yes_ = false;
};

} // namespace

std::unique_ptr<Verb> make_reclaim() { return std::make_unique<Reclaim>(); }

} // namespace ublk::daemon
