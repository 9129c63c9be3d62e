// SPDX-License-Identifier: GPL-2.0-or-later
// What a running server can be asked for: questions.cpp asks, answers.cpp is the server.
#ifndef UBLKD_QUESTIONS_H
#define UBLKD_QUESTIONS_H

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <ublk/server.h>

#include "process.h"
#include "state.h"

namespace ublk::daemon {

// All of them ask the server of this device, and of no other that has got its number.
struct Asked {
    const StateDirectory& state;
    const DeviceInfo& device;
    Deadline deadline;
};

Result<Resized> ask_to_resize(const Asked& asked, const SizeRequest& request);

// The settings of a layer, named as targets::find_layer() takes it, after the words have changed
// them.
Result<Reply> ask_for_settings(const Asked& asked, const std::string& layer,
                               const std::vector<std::string>& words);

// Target::command() of a layer, or if none is named of the outermost that knows it.
Result<Reply> ask_command(const Asked& asked, const std::string& layer, const std::string& name,
                          const std::vector<std::string>& words);

struct LayerCount {
    std::string layer; // its label, as targets::find_layer() takes it
    std::string name;
    std::uint64_t value;
};
struct Counts {
    Statistics statistics{};
    std::vector<LayerCount> layers{};
};
Result<Counts> ask_for_counts(const Asked& asked);

// Before a question: whether a server of ours is there to be asked. `what` is the verb.
Result<void> check_answerable(const Paths& paths, const DeviceInfo& info, std::string_view what);
// After it: an error that says why a server does not answer, as far as can be seen.
Error explain_silence(const Paths& paths, const DeviceInfo& info, std::string_view what,
                      Error error);

// What a server of ours serves.
struct Served {
    Server& server;
    const StateDirectory& state;
    ServerRecord& record; // as it is written
    // Those of stack_of(record), in the order of targets::layers_of(); nullptr: one that is not
    // there.
    std::vector<Target*> layers;
};

// The server's side of all of them. By the thread that runs the server.
Result<nlohmann::json> answer_question(const Served& served, const nlohmann::json& question);

} // namespace ublk::daemon

#endif
