// SPDX-License-Identifier: GPL-2.0-or-later
// What the driver cannot tell about a device: which target serves it, with which options. One JSON
// file per device, replaced atomically, so that a reader never sees half of one.
#ifndef UBLKD_STATE_H
#define UBLKD_STATE_H

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
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
    std::vector<targets::Layer> filters{}; // in front of the target, outermost first
    std::string name{};                    // that its user gave it; empty: none
};

// [{"name", "options"}]
nlohmann::ordered_json filters_json(const std::vector<targets::Layer>& filters);

class StateDirectory {
public:
    explicit StateDirectory(const Paths& paths) : path_(paths.state) {}

    std::string file(int number) const;
    std::string log(int number) const;
    std::string socket(int number) const;
    const std::string& path() const { return path_; }

    Result<void> create() const;
    // Whether it may be written is asked under the lock, so that of two who ask the same the second
    // sees the first's record.
    Result<void> write(
        const ServerRecord& record,
        const std::function<Result<void>()>& allow = [] { return Result<void>{}; }) const;

    // Nothing when there is no file; an error when it is not one of ours.
    Result<std::optional<ServerRecord>> read(int number) const;

    // Removes record, log and socket unless they belong to another server by now: a device number
    // can be in use again the moment it is free.
    void remove(int number, const ProcessIdentity& server) const;

    std::vector<int> numbers() const;

private:
    std::string path_;
};

} // namespace ublk::daemon

#endif
