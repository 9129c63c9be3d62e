// SPDX-License-Identifier: GPL-2.0-or-later
// What the driver cannot tell about a device: which target serves it, with which options. One JSON
// file per device, replaced atomically, so that a reader never sees half of one.
#ifndef UBLKD_STATE_H
#define UBLKD_STATE_H

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <ublk/copy_mode.h>
#include <ublk/result.h>

#include "../targets/stack.h"
#include "backing_record.h"
#include "paths.h"
#include "process.h"

namespace ublk::daemon {

struct ServerRecord {
    int number = 0; // N of /dev/ublkbN
    std::string target;
    std::map<std::string, std::string> options;
    ProcessIdentity server;
    std::int64_t started = 0; // seconds since the epoch
    CopyChoice copy{};
    std::uint64_t mark = 0; // DeviceInfo::mark, which tells this device from others of its number
    std::string shared_file{}; // of memory shared with users; empty: none
    BackingRecord backing{};
    std::vector<targets::Layer> filters{};  // in front of the target, outermost first
    std::vector<targets::Stack> children{}; // what the target stands on
    std::string name{};                     // that its user gave it; empty: none

    // What the disk is made of, and what it is made of by now.
    targets::Stack stack() const { return {{target, options}, children, filters}; }
    void set_stack(const targets::Stack& stack);
};

// [{"name", "options"}]
nlohmann::ordered_json filters_json(const std::vector<targets::Layer>& filters);
// [{"target", "options", "filters", "children"}]
nlohmann::ordered_json children_json(const std::vector<targets::Stack>& children);

class StateDirectory {
public:
    explicit StateDirectory(const Paths& paths) : path_(paths.state) {}

    std::string file(int number) const;
    std::string log(int number) const;
    std::string socket(int number) const;
    const std::string& path() const { return path_; }

    Result<void> create() const;
    // Nobody else writes or removes a record between what `allowed` looks at and the writing. Its
    // error is the outcome, and nothing is written then.
    using Allowed = std::function<Result<void>()>;
    Result<void> write(const ServerRecord& record, const Allowed& allowed = {}) const;

    // Nothing when there is no file; an error when it is not one of ours.
    Result<std::optional<ServerRecord>> read(int number) const;

    // Removes record, log and socket unless they belong to another server by now: a device number
    // can be in use again the moment it is free.
    void remove(int number, const ProcessIdentity& server) const;

    std::vector<int> numbers() const;
    // Of records that may have something in common with one of these. However many there are, this
    // looks into none.
    std::vector<int> numbers_near(const std::vector<BackingUse>& uses) const;

private:
    Result<void> write_index(const ServerRecord& record) const;
    void remove_index(int number, const std::set<std::string>& except) const;

    std::string path_;
};

} // namespace ublk::daemon

#endif
