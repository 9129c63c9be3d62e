// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd features`: what driver, kernel and io_uring can do here.
#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <linux/io_uring.h>
#include <nlohmann/json.hpp>
#include <sys/syscall.h>
#include <ublk/control.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "driver_origin.h"
#include "features.h"
#include "file.h"
#include "output.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

ordered_json driver_facts(const Paths& paths, std::uint64_t mask) {
    const std::string module = paths.sys + "/module/ublk_drv";
    return {{"origin", origin_of_driver(paths)},
            {"version", read_word(module + "/version")},
            {"srcversion", read_word(module + "/srcversion")},
            {"mask", fmt::format("{:#x}", mask)},
            {"features", names_of_features(mask)}};
}

UniqueFd try_ring(unsigned flags) {
    io_uring_params params{};
    params.flags = flags;
    return UniqueFd{static_cast<int>(::syscall(SYS_io_uring_setup, 4U, &params))};
}

bool supports_opcode(const UniqueFd& ring, unsigned opcode) {
    constexpr unsigned room = 256;
    alignas(io_uring_probe)
        std::array<std::byte, sizeof(io_uring_probe) + room * sizeof(io_uring_probe_op)>
            memory{};
    auto* probe = new (memory.data()) io_uring_probe; // its memory is zero already
    if (::syscall(SYS_io_uring_register, ring.get(), IORING_REGISTER_PROBE, probe, room) < 0)
        return false;
    return opcode <= probe->last_op && (probe->ops[opcode].flags & IO_URING_OP_SUPPORTED);
}

ordered_json io_uring_facts(const Paths& paths) {
    const UniqueFd ring = try_ring(0);
    const int error = ring ? 0 : errno;
    const std::string disabled = read_word(paths.proc + "/sys/kernel/io_uring_disabled");
    return {{"usable", static_cast<bool>(ring)},
            {"error", error ? ::strerrordesc_np(error) : ""},
            {"io_uring_disabled", disabled.empty() ? ordered_json{} : ordered_json(disabled)},
            {"uring_cmd", ring && supports_opcode(ring, IORING_OP_URING_CMD)},
            {"sqe128", static_cast<bool>(try_ring(IORING_SETUP_SQE128))},
            {"single_issuer", static_cast<bool>(try_ring(IORING_SETUP_SINGLE_ISSUER))},
            {"defer_taskrun",
             static_cast<bool>(try_ring(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN))}};
}

std::string yes_or_no(const ordered_json& value) { return value.get<bool>() ? "yes" : "no"; }

std::string text_or_dash(const ordered_json& value) {
    return value.is_string() && !value.get<std::string>().empty() ? value.get<std::string>() : "-";
}

std::string as_table(const ordered_json& facts) {
    const auto& driver = facts["driver"];
    const auto& ring = facts["io_uring"];
    std::vector<Row> rows{{"kernel", text_or_dash(facts["kernel"])},
                          {"driver", text_or_dash(driver["origin"])},
                          {"driver version", text_or_dash(driver["version"])},
                          {"driver srcversion", text_or_dash(driver["srcversion"])},
                          {"feature mask", text_or_dash(driver["mask"])}};
    for (const auto& feature : driver["features"])
        rows.push_back({"feature", text_or_dash(feature)});
    rows.push_back({"io_uring usable", yes_or_no(ring["usable"])});
    rows.push_back({"io_uring_disabled", text_or_dash(ring["io_uring_disabled"])});
    for (const char* name : {"uring_cmd", "sqe128", "single_issuer", "defer_taskrun"})
        rows.push_back({fmt::format("io_uring {}", name), yes_or_no(ring[name])});
    return format_table(rows);
}

class Features final : public Verb {
public:
    std::string_view name() const override { return "features"; }
    std::string_view summary() const override { return "tell what driver and kernel can do"; }
    void declare(Arguments&) override {}

    Result<Exit> run(const Context& context) override {
        auto control = Control::open();
        if (!control)
            return control.error();
        auto mask = control->features();
        if (!mask)
            return mask.error();

        const ordered_json facts{{"kernel", kernel_release()},
                                 {"driver", driver_facts(context.paths, *mask)},
                                 {"io_uring", io_uring_facts(context.paths)}};
        if (context.json)
            print_json(facts);
        else
            print(as_table(facts));
        return Exit::ok;
    }
};

} // namespace

std::unique_ptr<Verb> make_features() { return std::make_unique<Features>(); }

} // namespace ublk::daemon
