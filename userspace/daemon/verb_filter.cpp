// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd filter` and `ublkd command`: tell and change what a layer of a running disk does.
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "output.h"
#include "server_commands.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

// Above what a server gives its target.
constexpr std::chrono::seconds answer_limit{30};

void print_reply(const Reply& reply) {
    std::vector<Row> rows;
    for (const auto& [name, value] : reply)
        rows.push_back({name, value.empty() ? "-" : value});
    print(format_table(rows));
}

class FilterVerb final : public Verb {
public:
    std::string_view name() const override { return "filter"; }
    std::string_view summary() const override {
        return "tell the settings of a disk's filter, or change them while the disk is in use";
    }

    void declare(Arguments& arguments) override {
        arguments.word("DEV", device_, "/dev/ublkbN, ublkbN or N", Need::required);
        arguments.word("NAME", layer_,
                       "such as delay; of several delay#1, delay#2, counted from the outside",
                       Need::required);
        arguments.words("KEY=VALUE", words_, "settings to change; KEY= goes back to the default");
    }

    std::string notes() const override {
        return "\nPrints the settings as they are then. Settings that are not named stay. Requests "
               "that\n"
               "wait already, in delay or rate, go on as the new settings say. What was changed "
               "holds\n"
               "for the life of the disk: recover brings it back, show tells it.\n"
               "\nWhat can be changed: all of delay, error and rate; of log the key slower. offset "
               "and\n"
               "readonly cannot: their disk would become another one under those who use it.\n"
               "\nNAME can be the target, too: that tells what it was made with.\n";
    }

    Result<Exit> run(const Context& context) override {
        auto number = parse_device(device_);
        if (!number)
            return number.error();
        auto settings =
            ask_server_of(context.paths, *number, name(), answer_limit, [&](const Asked& asked) {
                return ask_for_settings(asked, layer_, words_);
            });
        if (!settings)
            return settings.error();
        if (!context.json) {
            print_reply(*settings);
            return Exit::ok;
        }
        ordered_json values = ordered_json::object();
        for (const auto& [key, value] : *settings)
            values[key] = value.empty() ? ordered_json{} : ordered_json(value);
        print_json({{"device", context.paths.block_node(*number)},
                    {"id", *number},
                    {"layer", layer_},
                    {"settings", values}});
        return Exit::ok;
    }

private:
    std::string device_;
    std::string layer_;
    std::vector<std::string> words_;
};

class CommandVerb final : public Verb {
public:
    std::string_view name() const override { return "command"; }
    std::string_view summary() const override { return "tell a disk's target to do something"; }

    void declare(Arguments& arguments) override {
        arguments.word("DEV", device_, "/dev/ublkbN, ublkbN or N", Need::required);
        arguments.word("COMMAND", command_, "one that a layer of the disk knows", Need::required);
        arguments.words("WORD", words_, "what goes with it");
        arguments.option("--layer", "LAYER", layer_,
                         "the layer that is meant, such as loop, or loop#2 of several "
                         "(default: the outermost that knows the command)");
    }

    std::string notes() const override {
        return "\nCommands are those of the target, see its documentation; most have none. Prints "
               "the\n"
               "answer. Settings are changed by ublkd filter, which writes them down.\n";
    }

    Result<Exit> run(const Context& context) override {
        auto number = parse_device(device_);
        if (!number)
            return number.error();
        auto reply =
            ask_server_of(context.paths, *number, name(), answer_limit, [&](const Asked& asked) {
                return ask_command(asked, layer_.value_or(""), command_, words_);
            });
        if (!reply)
            return reply.error();
        if (!context.json) {
            print_reply(*reply);
            return Exit::ok;
        }
        ordered_json lines = ordered_json::array();
        for (const auto& [name, value] : *reply)
            lines.push_back({{"name", name}, {"value", value}});
        print_json({{"device", context.paths.block_node(*number)},
                    {"id", *number},
                    {"command", command_},
                    {"reply", lines}});
        return Exit::ok;
    }

private:
    std::string device_;
    std::string command_;
    std::vector<std::string> words_;
    std::optional<std::string> layer_;
};

} // namespace

std::unique_ptr<Verb> make_filter() { return std::make_unique<FilterVerb>(); }
std::unique_ptr<Verb> make_command() { return std::make_unique<CommandVerb>(); }

} // namespace ublk::daemon
