// SPDX-License-Identifier: GPL-2.0-or-later
// Reads, writes and removes the per-device state files.
#include "state.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <ublk/control.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

static constexpr int state_schema = 1;

ordered_json filters_json(const std::vector<targets::Layer>& filters) {
    ordered_json json = ordered_json::array();
    for (const targets::Layer& filter : filters)
        json.push_back({{"name", filter.name}, {"options", filter.options}});
    return json;
}

static std::string encode(const ServerRecord& record) {
    ordered_json json{{"schema", state_schema},   {"id", record.number},
                      {"target", record.target},  {"options", record.options},
                      {"pid", record.server.pid}, {"pid_start", record.server.start},
                      {"started", record.started}};
    json["copy"] = {{"mode", name_of(record.copy.mode)}, {"reason", record.copy.reason}};
    json["mark"] = record.mark;
    json["shmem"] = record.shared_file;
    add_to_json(json, record.backing);
    json["filters"] = filters_json(record.filters);
    json["name"] = record.name;
    return document_to_text(std::move(json)).dump(2) + "\n";
}

// nlohmann reports type errors by exceptions; they end here.
static std::optional<ServerRecord> decode(const std::string& text) {
    try {
        auto json = document_to_bytes(ordered_json::parse(text));
        if (json.at("schema").get<int>() != state_schema)
            return std::nullopt;
        ServerRecord record;
        record.number = json.at("id").get<int>();
        record.target = json.at("target").get<std::string>();
        record.options = json.at("options").get<std::map<std::string, std::string>>();
        record.server.pid = json.at("pid").get<pid_t>();
        record.server.start = json.at("pid_start").get<std::uint64_t>();
        record.started = json.at("started").get<std::int64_t>();
        auto mode = parse_copy_mode(json.at("copy").at("mode").get<std::string>());
        if (!mode)
            return std::nullopt;
        record.copy = {*mode, json.at("copy").at("reason").get<std::string>()};
        record.mark = json.at("mark").get<std::uint64_t>();
        record.shared_file = json.at("shmem").get<std::string>();
        record.backing = backing_from_json(json);
        for (const auto& filter : json.value("filters", ordered_json::array())) // younger
            record.filters.push_back(
                {filter.at("name").get<std::string>(),
                 filter.at("options").get<std::map<std::string, std::string>>()});
        record.name = json.value("name", std::string{}); // younger
        return record;
    } catch (const ordered_json::exception&) {
        return std::nullopt;
    }
}

// Held while a file's owner is checked and the file changed. Whoever can open it could hold all
// servers up, so nobody else can; nor can it be a link to a file of theirs.
static Result<UniqueFd> lock_directory(const std::string& directory) {
    const std::string path = directory + "/.lock";
    UniqueFd lock{
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)};
    if (!lock)
        return Error{errno, "open " + path, "remove what lies in its place"};
    struct stat status {};
    if (::fstat(lock.get(), &status) < 0)
        return Error{errno, "look at " + path};
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077))
        return Error{EPERM, "lock " + path, "others can lock it, too; remove it"};
    while (::flock(lock.get(), LOCK_EX) < 0)
        if (errno != EINTR)
            return Error{errno, "lock " + path};
    return lock;
}

std::string StateDirectory::file(int number) const {
    return fmt::format("{}/{}.json", path_, number);
}

std::string StateDirectory::log(int number) const {
    return fmt::format("{}/{}.log", path_, number);
}

std::string StateDirectory::socket(int number) const {
    return fmt::format("{}/{}.sock", path_, number);
}

Result<void> StateDirectory::create() const {
    if (::mkdir(path_.c_str(), 0755) < 0 && errno != EEXIST)
        return Error{errno, fmt::format("create {}", path_),
                     "run as root, or set UBLKD_STATE_DIR to a directory you may write"};
    if (::access(path_.c_str(), W_OK | X_OK) < 0)
        return Error{errno, fmt::format("write in {}", path_),
                     "run as root, or set UBLKD_STATE_DIR to a directory you may write"};
    return {};
}

Result<void> StateDirectory::write(const ServerRecord& record,
                                   const std::function<Result<void>()>& allow) const {
    const std::string path = file(record.number);
    const std::string fresh = fmt::format("{}/.{}.json.new", path_, record.number);
    const auto lock = lock_directory(path_);
    if (!lock)
        return lock.error();
    if (auto allowed = allow(); !allowed)
        return allowed;

    auto written = write_file(fresh, encode(record));
    if (written && ::rename(fresh.c_str(), path.c_str()) < 0)
        written = Error{errno, "rename to " + path};
    if (!written)
        ::unlink(fresh.c_str());
    return written;
}

Result<std::optional<ServerRecord>> StateDirectory::read(int number) const {
    auto text = read_file(file(number));
    if (!text) {
        if (text.error().code == ENOENT || text.error().code == ENOTDIR)
            return std::optional<ServerRecord>{};
        return text.error();
    }
    auto record = decode(*text);
    if (!record || record->number != number)
        return Error{EBADMSG, "read " + file(number),
                     "the file is damaged; delete it, the device itself is not affected"};
    return record;
}

void StateDirectory::remove(int number, const ProcessIdentity& server) const {
    const auto lock = lock_directory(path_);
    if (!lock)
        return; // a record that stays does no harm: it has a mark
    auto record = read(number);
    if (record && *record && (*record)->server != server)
        return;
    ::unlink(file(number).c_str());
    ::unlink(log(number).c_str());
    ::unlink(socket(number).c_str());
}

std::vector<int> StateDirectory::numbers() const {
    std::vector<int> numbers;
    for (const std::string& name : list_directory(path_)) {
        std::string_view stem = name;
        if (!stem.ends_with(".json") || stem.starts_with("."))
            continue;
        stem.remove_suffix(5);
        if (auto number = parse_device(stem))
            numbers.push_back(*number);
    }
    return numbers;
}

} // namespace ublk::daemon
