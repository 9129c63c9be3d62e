// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a target as a device in this process.
#include "serve.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <iterator>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/prctl.h>
#include <sys/random.h>
#include <ublk/control.h>
#include <ublk/retry.h>
#include <unistd.h>

#include "claims.h"
#include "device.h"
#include "mounts.h"
#include "names.h"
#include "output.h"
#include "process.h"
#include "report.h"
#include "server_commands.h"
#include "server_socket.h"
#include "state.h"
#include "surroundings.h"

namespace ublk::daemon {

namespace {

// How long a process that was killed may still look alive, and then keep its backing locked.
constexpr std::chrono::seconds death_limit{5};

Result<void> check_number_is_free(const Paths& paths, int number) {
    auto control = Control::open();
    if (!control)
        return control.error();
    auto info = control->info(number);
    if (info)
        return Error{EEXIST,
                     fmt::format("{}: served by {}", block_device_path(number),
                                 describe_server(paths, *info)),
                     "leave --number out to get a free one"};
    // Whatever else is wrong shows when the device is added.
    return {};
}

// Not 0, which is that of servers without one, and exact in whatever reads JSON.
Result<std::uint64_t> make_mark() {
    constexpr std::uint64_t exact = (std::uint64_t{1} << 53) - 1;
    std::uint64_t mark = 0;
    if (::getrandom(&mark, sizeof mark, 0) != sizeof mark)
        return Error{errno, "get a random number"};
    return (mark & exact) | 1;
}

Result<std::shared_ptr<const SharedMemory>> map_shared(const std::string& path) {
    auto memory = SharedMemory::map(path);
    if (!memory)
        return memory.error();
    return std::shared_ptr<const SharedMemory>{std::make_shared<SharedMemory>(*std::move(memory))};
}

// The target has opened its files by their names; from here on only system paths are needed, and
// those that it names.
Result<void> leave_surroundings(const Paths& paths, const Target& target) {
    if (auto left = leave_mount_namespace(paths, target.paths()); !left)
        return left;
    if (::chdir("/") < 0)
        return Error{errno, "chdir to /"};
    return {};
}

// The first thing that a server does. Returns what it cannot have.
std::vector<Error> become_a_service(const Paths& paths) {
    // Before there is any ring, also one that only asks the driver something: its threads inherit
    // it. The library insists on it, and says so.
    ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    std::vector<Error> missing = shed_inheritance();
    for (const Error& error : keep_memory(paths))
        missing.push_back(error);
    return missing;
}

// Once there is a device: before that one error counts, which keeps it from being made.
void tell_of(const std::vector<Error>& missing) {
    for (const Error& error : missing)
        print_error_line(error_line("serve", error));
}

Result<End> run(const Served& served, const std::optional<ServerSocket>& socket) {
    if (!socket)
        return served.server.run();
    const auto answer = [&](const nlohmann::json& command) {
        return execute_command(served, command);
    };
    return served.server.run({{socket->descriptor(), [&] { socket->answer_one(answer); }}});
}

// A record stays with the device that it describes.
Result<void> run_to_the_end(const Served& served, const std::optional<ServerSocket>& socket) {
    auto end = run(served, socket);
    if (end && *end == End::left)
        return {};
    served.state.remove(served.record.number, served.record.server);
    return end ? Result<void>{} : end.error();
}

// What the target keeps the data in, and what memory is shared with users: nobody else's.
Result<BackingRecord> claim_backings(const Paths& paths, const Target& target,
                                     const std::string& shared_file, int number) {
    BackingRecord backing = backing_record_of(target);
    if (!shared_file.empty())
        backing.uses.push_back(use_of_name(shared_file, BackingUse::Access::shares));
    if (auto apart = check_apart(backing.uses); !apart)
        return apart.error();
    if (auto free = check_claims(paths, backing.uses, number, find_in_driver(paths)); !free)
        return free.error();
    return backing;
}

// Of all targets that have one.
std::vector<std::string> names_of_backings(const targets::Stack& stack) {
    std::vector<std::string> names;
    const auto file = stack.target.options.find("file");
    if (file != stack.target.options.end())
        names.push_back(file->second);
    for (const targets::Stack& child : stack.children)
        for (std::string& name : names_of_backings(child))
            names.push_back(std::move(name));
    return names;
}

// Whoever asked for the target knows its name; errors have those of filters in front.
Result<targets::Built> make_target(const targets::Stack& stack, const GeometryRequest& geometry) {
    auto built = targets::build_layers(stack, geometry);
    const std::string name = stack.target.name + ": ";
    if (built || !built.error().step.starts_with(name))
        return built;
    Error error = built.error();
    error.step.erase(0, name.size());
    return error;
}

void print_remarks(std::string_view target, const BackingRecord& backing) {
    for (const std::string& remark : backing.remarks)
        print_error_line(fmt::format("ublkd: {}: {}", target, remark));
}

// Without the number and the server.
ServerRecord record_of(const ServeRequest& request, const BackingRecord& backing,
                       std::uint64_t mark) {
    ServerRecord record;
    record.number = -1;
    record.target = request.stack.target.name;
    record.options = request.stack.target.options;
    record.started = std::time(nullptr);
    record.mark = mark;
    record.shared_file = request.shared_file;
    record.backing = backing;
    record.filters = request.stack.filters;
    record.children = request.stack.children;
    record.name = request.name;
    return record;
}

Result<void> bring_up_and_run(const ServeRequest& request, const Paths& paths, targets::Built built,
                              const BackingRecord& backing, const Announce& announce) {
    const std::uint64_t size = built.target->geometry().size_bytes;
    ServerOptions options = request.server;
    auto mark = make_mark();
    if (!mark)
        return mark.error();
    options.mark = *mark;

    const StateDirectory state(paths);
    ServerRecord record = record_of(request, backing, *mark);
    record.server = identify_process(paths, ::getpid());
    // Whatever ends this process from then on: there is no disk that nobody knows to recover.
    options.before_disk = [&](const DeviceInfo& info, const CopyChoice& copy) {
        record.number = info.number;
        record.copy = copy;
        return claim(paths, record, find_in_driver(paths));
    };
    auto server = Server::start(std::move(built.target), options);
    if (!server) {
        if (record.number >= 0)
            state.remove(record.number, record.server);
        return server.error();
    }

    std::optional<ServerSocket> socket;
    auto result = without_exceptions([&]() -> Result<void> {
        auto opened = ServerSocket::open(state, record.number);
        if (!opened)
            return opened.error();
        socket = *std::move(opened);
        return announce({record.number, record.target, size, record.server.pid});
    });
    if (result)
        return run_to_the_end({*server, state, record, std::move(built.layers)}, socket);
    static_cast<void>(server->stop()); // the first error is the one to tell
    state.remove(record.number, record.server);
    return result;
}

// What a new server needs to know about a device that waits for one.
struct Waiting {
    DeviceInfo info{};
    ServerRecord record{};
    Geometry disk{};
};

Error cannot_recover(int code, int number, std::string hint, ErrorKind kind = ErrorKind::system) {
    return Error{code, "recover " + block_device_path(number), std::move(hint), kind};
}

Result<DeviceInfo> find_waiting_device(const Paths& paths, Control& control, int number) {
    // The library waits for the rest of an end that has begun.
    const auto is_served = [&](const Result<DeviceInfo>& info) {
        return info && info->state == DeviceState::live && server_is_alive(paths, *info) &&
               recovery_of(info->features) != Recovery::off;
    };
    auto info = retry_until(
        Clock::now() + death_limit, [&] { return find_device(control, number); }, is_served);
    if (!info)
        return info;
    if (recovery_of(info->features) == Recovery::off)
        return cannot_recover(EINVAL, number,
                              "it was added without recovery; see --recovery in ublkd help add",
                              ErrorKind::usage);
    if (info->state == DeviceState::dead)
        return cannot_recover(ENXIO, number, "its disk was stopped; delete it: ublkd del");
    if (is_served(info))
        return Error{EBUSY,
                     fmt::format("{} is served by {}", block_device_path(number),
                                 describe_server(paths, *info)),
                     "ublkd quiesce sends its server away"};
    return info;
}

Result<Waiting> find_waiting(const Paths& paths, int number) {
    auto control = Control::open();
    if (!control)
        return control.error();
    auto info = find_waiting_device(paths, *control, number);
    if (!info)
        return info.error();
    auto record = record_of(paths, *info);
    if (!record)
        return cannot_recover(ENOENT, number,
                              fmt::format("no record of it in {}; recover it with the program that "
                                          "made it, or ublkd del",
                                          paths.state));
    if (!ProcessHandle(record->server.pid).wait_until_gone(Clock::now() + death_limit) &&
        identify_process(paths, record->server.pid) == record->server)
        return cannot_recover(
            EBUSY, number,
            fmt::format("its old server, process {}, is not gone yet", record->server.pid));
    auto disk = control->geometry(number);
    if (!disk)
        return disk.error();
    return Waiting{*info, *record, *disk};
}

// The driver knows the disk as it is; its options may say less, or have been another's since.
GeometryRequest as_it_is(const Geometry& disk) {
    return {disk.logical_block_size, disk.physical_block_size, disk.max_io_bytes, disk.read_only,
            disk.size_bytes};
}

Result<targets::Built> create_again(const ServerRecord& record, const Geometry& disk) {
    return make_target(record.stack(), as_it_is(disk));
}

// The kernel closes the ring of a server that was killed some time after its end, and with it the
// locked backing.
Result<targets::Built> create_once_free(const ServerRecord& record, const Geometry& disk) {
    return retry_until(
        Clock::now() + death_limit, [&] { return create_again(record, disk); },
        [](const Result<targets::Built>& built) { return !built && built.error().code == EBUSY; });
}

std::vector<BackingUse> shared_in(const std::vector<BackingUse>& uses) {
    std::vector<BackingUse> shared;
    std::copy_if(uses.begin(), uses.end(), std::back_inserter(shared),
                 [](const BackingUse& use) { return use.access == BackingUse::Access::shares; });
    return shared;
}

// Whoever shared it may be gone, and its name mean another file. Then the driver copies, which is
// told where the copy mode is.
std::shared_ptr<const SharedMemory> share_again(ServerRecord& record) {
    if (record.shared_file.empty())
        return nullptr;
    if (is_of_a_process(record.shared_file)) {
        record.copy.reason = "all is copied: another server cannot be sure whose memory " +
                             record.shared_file + " is by now";
        return nullptr;
    }
    auto memory = map_shared(record.shared_file);
    auto same = check_same(shared_in(record.backing.uses),
                           {use_of_name(record.shared_file, BackingUse::Access::shares)});
    if (memory && same) {
        record.copy.reason = "there is shared memory";
        return *std::move(memory);
    }
    record.copy.reason =
        memory ? fmt::format("all is copied: {} is another file by now", record.shared_file)
               : fmt::format("all is copied: {}", memory.error().message());
    return nullptr;
}

// What a device had, or what the user says it shall have from now on.
Result<BackingRecord> claim_again(const Paths& paths, const ServerRecord& record,
                                  const Target& target, BackingWanted wanted) {
    if (wanted == BackingWanted::same)
        if (auto same = check_same(record.backing.uses, target.backings()); !same)
            return same.error();
    if (auto other = check_not_itself(paths, target.backings(), record.number); !other)
        return other.error();
    auto backing = claim_backings(paths, target, "", record.number);
    if (backing)
        for (const BackingUse& shared : shared_in(record.backing.uses))
            backing->uses.push_back(shared);
    return backing;
}

void log_failure(const Result<void>& result) {
    if (!result)
        print_error_line(error_line("", result.error()));
}

} // namespace

std::string describe_server(const Paths& paths, const DeviceInfo& info) {
    std::string text = info.server > 0 ? fmt::format("process {} ({})", info.server,
                                                     process_name(paths, info.server))
                                       : "no process";
    auto record = StateDirectory(paths).read(info.number);
    if (record && *record)
        text += fmt::format(", target {}", (*record)->target);
    return text;
}

Result<void> serve(const ServeRequest& request, const Paths& paths, const Announce& announce) {
    const std::vector<Error> missing = become_a_service(paths);
    auto built = make_target(request.stack, request.geometry);
    if (!built)
        return explain_busy(built.error(), paths, names_of_backings(request.stack), no_device,
                            find_in_driver(paths));
    shed_file_mode();
    ServeRequest complete = request;
    if (!request.shared_file.empty()) {
        auto memory = map_shared(request.shared_file);
        if (!memory)
            return memory.error();
        complete.server.shared_memory = *std::move(memory);
    }
    if (auto created = StateDirectory(paths).create(); !created)
        return created;
    if (request.server.number >= 0)
        if (auto available = check_number_is_free(paths, request.server.number); !available)
            return available;
    auto backing = claim_backings(paths, *built->target, request.shared_file, no_device);
    if (!backing)
        return backing.error();
    print_remarks(request.stack.target.name, *backing);
    if (auto left = leave_surroundings(paths, *built->target); !left)
        return left;
    return bring_up_and_run(complete, paths, *std::move(built), *backing, [&](const Ready& ready) {
        tell_of(missing);
        return announce(ready);
    });
}

Result<void> take_over(int number, BackingWanted wanted, const Paths& paths,
                       const Announce& announce) {
    const std::vector<Error> missing = become_a_service(paths);
    shed_file_mode();
    auto waiting = find_waiting(paths, number);
    if (!waiting)
        return waiting.error();
    auto built = create_once_free(waiting->record, waiting->disk);
    if (!built)
        return explain_busy(built.error(), paths, names_of_backings(waiting->record.stack()),
                            number, find_in_driver(paths));
    ServerRecord record = waiting->record;
    auto backing = claim_again(paths, record, *built->target, wanted);
    if (!backing)
        return backing.error();
    print_remarks(record.target, *backing);
    RecoverOptions options;
    options.shared_memory = share_again(record);
    options.mark = record.mark;
    if (auto left = leave_surroundings(paths, *built->target); !left)
        return left;
    auto server = Server::recover(number, std::move(built->target), options);
    if (!server)
        return server.error();

    const StateDirectory state(paths);
    record.backing = *std::move(backing);
    record.server = identify_process(paths, ::getpid());
    record.started = std::time(nullptr);
    log_failure(state.write(record));
    auto opened = ServerSocket::open(state, number);
    std::optional<ServerSocket> socket;
    if (opened)
        socket = *std::move(opened);
    else
        log_failure(opened.error());
    tell_of(missing);
    log_failure(announce({number, record.target, waiting->disk.size_bytes, record.server.pid}));
    return run_to_the_end({*server, state, record, std::move(built->layers)}, socket);
}

} // namespace ublk::daemon
