// SPDX-License-Identifier: GPL-2.0-or-later
// Reads, writes and removes the per-device state files.
#include "state.h"

#include <algorithm>
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

#include "backing_index.h"
#include "file.h"
#include "json.h"
#include "text.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

static constexpr int state_schema = 1;

void ServerRecord::set_stack(const targets::Stack& stack) {
    target = stack.target.name;
    options = stack.target.options;
    children = stack.children;
    filters = stack.filters;
}

ordered_json filters_json(const std::vector<targets::Layer>& filters) {
    ordered_json json = ordered_json::array();
    for (const targets::Layer& filter : filters)
        json.push_back({{"name", filter.name}, {"options", filter.options}});
    return json;
}

ordered_json children_json(const std::vector<targets::Stack>& children) {
    ordered_json json = ordered_json::array();
    for (const targets::Stack& child : children)
        json.push_back({{"target", child.target.name},
                        {"options", child.target.options},
                        {"filters", filters_json(child.filters)},
                        {"children", children_json(child.children)}});
    return json;
}

static std::vector<targets::Layer> filters_from_json(const ordered_json& json) {
    std::vector<targets::Layer> filters;
    for (const auto& filter : json)
        filters.push_back({filter.at("name").get<std::string>(),
                           filter.at("options").get<std::map<std::string, std::string>>()});
    return filters;
}

static std::vector<targets::Stack> children_from_json(const ordered_json& json) {
    std::vector<targets::Stack> children;
    for (const auto& child : json)
        children.push_back({{child.at("target").get<std::string>(),
                             child.at("options").get<std::map<std::string, std::string>>()},
                            children_from_json(child.at("children")),
                            filters_from_json(child.at("filters"))});
    return children;
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
    json["children"] = children_json(record.children);
    json["name"] = record.name;
    return write_json(document_to_text(std::move(json)), 2) + "\n";
}

// nlohmann reports type errors by exceptions; they end here.
static std::optional<ServerRecord> decode(const std::string& text) {
    try {
        auto json = document_to_bytes(parse_ordered_json(text));
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
        // These are younger than the rest.
        record.filters = filters_from_json(json.value("filters", ordered_json::array()));
        record.children = children_from_json(json.value("children", ordered_json::array()));
        record.name = json.value("name", std::string{});
        return record;
    } catch (const ordered_json::exception&) {
        return std::nullopt;
    }
}

// Of one that has nothing but the name of its backing there is none.
static std::set<std::string> index_of(const ServerRecord& record) {
    if (record.backing.uses.empty() && record.options.contains("file"))
        return {};
    return index_names(record.number, record.backing.uses);
}

// The N of N.json.
static std::optional<int> number_of_record(std::string_view name) {
    constexpr std::string_view suffix = ".json";
    if (!name.ends_with(suffix) || name.starts_with("."))
        return std::nullopt;
    name.remove_suffix(suffix.size());
    auto number = parse_device(name);
    return number ? std::optional{*number} : std::nullopt;
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

Result<void> StateDirectory::write(const ServerRecord& record, const Allowed& allowed) const {
    const std::string path = file(record.number);
    const std::string fresh = fmt::format("{}/.{}.json.new", path_, record.number);
    const auto lock = lock_directory(path_);
    if (!lock)
        return lock.error();
    if (allowed)
        if (auto allows = allowed(); !allows)
            return allows;

    // First the index, which may say too much, and never too little.
    auto written = write_index(record);
    if (written)
        written = write_file(fresh, encode(record));
    if (written && ::rename(fresh.c_str(), path.c_str()) < 0)
        written = Error{errno, "rename to " + path};
    if (written)
        remove_index(record.number, index_of(record));
    else
        ::unlink(fresh.c_str());
    return written;
}

Result<void> StateDirectory::write_index(const ServerRecord& record) const {
    for (const std::string& name : index_of(record))
        if (auto made = write_file(path_ + "/" + name, ""); !made)
            return made;
    return {};
}

void StateDirectory::remove_index(int number, const std::set<std::string>& except) const {
    for (const std::string& name : list_directory(path_)) {
        const auto entry = parse_index_name(name);
        if (entry && entry->number == number && !except.contains(name))
            ::unlink((path_ + "/" + name).c_str());
    }
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
    remove_index(number, {});
    ::unlink(log(number).c_str());
    ::unlink(socket(number).c_str());
}

std::vector<int> StateDirectory::numbers() const {
    std::vector<int> numbers;
    for (const std::string& name : list_directory(path_))
        if (auto number = number_of_record(name))
            numbers.push_back(*number);
    return numbers;
}

std::vector<int> StateDirectory::numbers_near(const std::vector<BackingUse>& uses) const {
    const auto is_near = [&](const Identity& thing) {
        return std::any_of(uses.begin(), uses.end(), [&](const BackingUse& use) {
            return std::any_of(use.things.begin(), use.things.end(),
                               [&](const Identity& wanted) { return may_meet(thing, wanted); });
        });
    };
    std::vector<int> numbers;
    std::set<int> indexed;
    std::set<int> near;
    for (const std::string& name : list_directory(path_)) {
        if (auto number = number_of_record(name))
            numbers.push_back(*number);
        const auto entry = parse_index_name(name);
        if (!entry)
            continue;
        indexed.insert(entry->number);
        if (entry->thing && is_near(*entry->thing))
            near.insert(entry->number);
    }
    // Whose record is older than the index may be anything.
    std::erase_if(numbers,
                  [&](int number) { return indexed.contains(number) && !near.contains(number); });
    return numbers;
}

} // namespace ublk::daemon
