// SPDX-License-Identifier: GPL-2.0-or-later
// Compares backings with those of the records that the index names.
#include "claims.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>

#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <ublk/recovery.h>

#include "../targets/identity.h"
#include "backing_index.h"
#include "disk_name.h"
#include "file.h"
#include "process.h"

namespace ublk::daemon {

namespace {

using Access = BackingUse::Access;

bool meet(const Identity& one, const Identity& other) {
    return may_meet(one, other) && targets::overlap(one, other);
}

bool may_go_together(Access one, Access other) {
    return one == other && (one == Access::reads || one == Access::shares);
}

bool conflict(const BackingUse& one, const BackingUse& other) {
    return !may_go_together(one.access, other.access) &&
           std::any_of(one.things.begin(), one.things.end(), [&](const Identity& a) {
               return std::any_of(other.things.begin(), other.things.end(),
                                  [&](const Identity& b) { return meet(a, b); });
           });
}

// Records that are older than this have names only.
std::vector<BackingUse> uses_of(const ServerRecord& record) {
    const auto file = record.options.find("file");
    if (!record.backing.uses.empty() || file == record.options.end())
        return record.backing.uses;
    return {use_of_name(file->second, Access::writes)};
}

Error taken(const BackingUse& wanted, const ServerRecord& holder, const DeviceInfo& device) {
    const std::string path = block_device_path(device.number);
    const bool waits =
        device.state == DeviceState::quiesced || device.state == DeviceState::fail_io;
    const std::string hint =
        waits ? fmt::format("{} has it and waits for a server; ublkd recover {} brings one, ublkd "
                            "del {} ends it",
                            path, device.number, device.number)
              : fmt::format("{} has it, target {}; ublkd del {} ends that", path, holder.target,
                            device.number);
    return Error{EBUSY, wanted.name, hint};
}

// Of which a next server must find the same.
std::vector<BackingUse> lasting_uses(const std::vector<BackingUse>& uses) {
    std::vector<BackingUse> lasting;
    std::copy_if(uses.begin(), uses.end(), std::back_inserter(lasting),
                 [](const BackingUse& use) { return use.access != Access::appends; });
    return lasting;
}

// Whether what was opened is what was opened before. The number of a file system changes when it is
// mounted again; that of a file and its handle do not.
bool is_still(const Identity& before, const Identity& now) {
    Identity elsewhere = now;
    if (before.kind == Identity::Kind::file && before.file_system &&
        before.file_system == now.file_system && !before.handle.empty() &&
        before.handle == now.handle)
        elsewhere.device = before.device;
    return targets::same_thing(before, elsewhere) && before.start == now.start;
}

std::string_view word_for(Identity::Kind kind) {
    switch (kind) {
    case Identity::Kind::disk:
        return "disk";
    case Identity::Kind::remote:
        return "remote disk";
    default:
        return "file";
    }
}

// The driver removes a disk that cannot be recovered soon after its server's death.
bool may_write_again(const DeviceInfo& device) {
    const bool has_server = device.server > 0 && ProcessHandle(device.server).alive();
    return has_server ||
           (recovery_of(device.features) != Recovery::off && device.state != DeviceState::dead);
}

// Its disk may be about to be made.
bool is_running(const Paths& paths, const ProcessIdentity& server) {
    const ProcessHandle handle(server.pid); // before the look, so that it is of the same process
    return handle.alive() && identify_process(paths, server.pid) == server;
}

} // namespace

FindDevice find_in_driver(const Paths& paths) {
    // Only who finds something asks the driver.
    auto control = std::make_shared<std::optional<Control>>();
    return [control, paths](const ServerRecord& record) -> std::optional<DeviceInfo> {
        if (!*control) {
            auto opened = Control::open();
            if (!opened)
                return std::nullopt;
            *control = *std::move(opened);
        }
        auto info = (*control)->info(record.number);
        if (!info || info->mark != record.mark)
            return std::nullopt;
        if (!may_write_again(*info) && !is_running(paths, record.server))
            return std::nullopt;
        return *info;
    };
}

Result<void> check_claims(const Paths& paths, const std::vector<BackingUse>& wanted, int except,
                          const FindDevice& find) {
    if (wanted.empty())
        return {};
    const StateDirectory state(paths);
    for (const int number : state.numbers_near(wanted)) {
        if (number == except)
            continue;
        auto record = state.read(number);
        if (!record || !*record)
            continue;
        for (const BackingUse& held : uses_of(**record))
            for (const BackingUse& use : wanted)
                if (conflict(held, use))
                    if (const auto device = find(**record))
                        return taken(use, **record, *device);
    }
    return {};
}

Result<void> claim(const Paths& paths, const ServerRecord& record, const FindDevice& find) {
    return StateDirectory(paths).write(record, [&]() -> Result<void> {
        auto free = check_claims(paths, record.backing.uses, record.number, find);
        return free ? check_name_is_free(paths, record.name, record.number, find) : free;
    });
}

Error explain_busy(Error error, const Paths& paths, const std::vector<std::string>& names,
                   int except, const FindDevice& find) {
    if (error.code != EBUSY)
        return error;
    std::vector<BackingUse> wanted;
    for (const std::string& name : names) {
        wanted.push_back(use_of_name(name, Access::writes));
        wanted.back().name = "file=" + name;
    }
    auto free = check_claims(paths, wanted, except, find);
    return free ? error : free.error();
}

Result<void> check_apart(const std::vector<BackingUse>& uses) {
    for (std::size_t i = 0; i < uses.size(); ++i)
        for (std::size_t other = i + 1; other < uses.size(); ++other)
            if (conflict(uses[i], uses[other]))
                return Error{EBUSY, uses[i].name,
                             fmt::format("the same disk has it as {}; give each a file of its own",
                                         uses[other].name)};
    return {};
}

Result<void> check_same(const std::vector<BackingUse>& of_before,
                        const std::vector<BackingUse>& of_now) {
    const std::vector<BackingUse> before = lasting_uses(of_before);
    const std::vector<BackingUse> now = lasting_uses(of_now);
    for (std::size_t i = 0; i < std::min(before.size(), now.size()); ++i) {
        if (before[i].things.empty() || now[i].things.empty())
            continue;
        const Identity& was = before[i].things.front();
        const Identity& is = now[i].things.front();
        if (is_still(was, is))
            continue;
        return Error{ESTALE, now[i].name,
                     fmt::format("this is another {} than the device had: {}, not {}; put that "
                                 "back, or insist with --other-backing",
                                 word_for(is.kind), describe_identity(is), describe_identity(was)),
                     ErrorKind::backend};
    }
    return {};
}

Result<void> check_not_itself(const Paths& paths, const std::vector<BackingUse>& uses, int number) {
    const std::string own = read_word(fmt::format("{}/block/ublkb{}/dev", paths.sys, number));
    if (own.empty())
        return {};
    for (const BackingUse& use : uses)
        for (const Identity& thing : use.things)
            if (fmt::format("{}:{}", major(thing.device), minor(thing.device)) == own)
                return Error{ELOOP, use.name,
                             fmt::format("that is {} itself, or a file on it; give it a backing "
                                         "elsewhere",
                                         block_device_path(number)),
                             ErrorKind::backend};
    return {};
}

} // namespace ublk::daemon
