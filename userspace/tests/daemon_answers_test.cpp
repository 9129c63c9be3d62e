// SPDX-License-Identifier: GPL-2.0-or-later
// What a server answers about its stack, and what it writes down of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "daemon/server_commands.h"
#include "server_with_driver.h"
#include "support/fake_driver.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Words = std::vector<std::string>;

class Answers : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    StateDirectory state_{Paths{.state = root_.path("state")}};
    std::shared_ptr<test::FakeDriver> driver_ = std::make_shared<test::FakeDriver>();
    ServerRecord record_{};
    std::optional<Server> server_{};
    std::vector<Target*> layers_{};

    void serve(const Words& filters) {
        ASSERT_TRUE(state_.create());
        targets::Stack stack = *targets::parse_child("ram size=1M");
        for (const std::string& filter : filters)
            stack.filters.push_back(*targets::parse_filter(filter));
        auto built = targets::build_layers(stack, {});
        ASSERT_TRUE(built);
        layers_ = built->layers;
        auto server = start_with_driver(driver_, std::move(built->target), {.number = 3});
        ASSERT_TRUE(server);
        server_.emplace(*std::move(server));
        record_.number = 3;
        record_.set_stack(stack);
        ASSERT_TRUE(state_.write(record_));
    }

    Result<json> ask(const char* what, const json& question) {
        return execute_command({*server_, state_, record_, layers_},
                               {{"mark", server_->info().mark}, {what, question}});
    }
    Result<json> settings(const std::string& layer, const Words& words) {
        return ask("settings", {{"layer", layer}, {"words", words}});
    }
    Result<json> command(const std::string& layer, const std::string& name) {
        return ask("command", {{"layer", layer}, {"name", name}, {"words", Words{}}});
    }
    std::map<std::string, std::string> written(std::size_t filter) {
        return (*state_.read(3))->filters.at(filter).options;
    }
};

TEST_F(Answers, ChangedSettingsAreAppliedAndWrittenDown) {
    serve({"delay:read=1ms", "error:count=0", "delay:read=2ms,write=3ms"});
    const auto told = settings("delay#2", {"read=7ms", "write="});
    ASSERT_TRUE(told) << told.error().message();
    EXPECT_EQ(told->at(0), (json{"read", "7ms"}));
    EXPECT_EQ(layers_[2]->command("delay", {})->at(0).second, "7ms");
    EXPECT_EQ(layers_[0]->command("delay", {})->at(0).second, "1ms");
    EXPECT_EQ(written(2), (std::map<std::string, std::string>{{"read", "7ms"}}));
    EXPECT_EQ(written(0).at("read"), "1ms");
}

TEST_F(Answers, SettingsAreToldWithoutAChange) {
    serve({"delay:read=1ms", "readonly"});
    EXPECT_EQ(settings("delay", {})->at(0), (json{"read", "1ms"}));
    EXPECT_TRUE(settings("readonly", {})->empty());
    EXPECT_EQ(settings("ram", {})->at(0), (json{"size", "1M"})) << "what it was made with";
}

TEST_F(Answers, NothingIsChangedByBadWords) {
    serve({"delay:read=1ms", "error:errno=EIO", "readonly", "delay"});
    struct Line {
        const char* layer;
        const char* word;
        const char* says;
    };
    for (const Line& line :
         {Line{"delay", "read=2ms", "delay#1, delay#2"},
          Line{"delay#1", "read=fast", "delay#1: option read=fast"},
          Line{"delay#1", "colour=red", "unknown option colour"},
          Line{"error", "errno=EVIL", "errno=EVIL"}, Line{"readonly", "x=y", "readonly: "},
          Line{"rate", "bytes=1M", "this disk has delay#1"},
          Line{"ram", "size=2M", "cannot be changed"}}) {
        const auto refused = settings(line.layer, {line.word});
        ASSERT_FALSE(refused) << line.word;
        EXPECT_EQ(refused.error().kind, ErrorKind::usage);
        EXPECT_THAT(refused.error().message(), HasSubstr(line.says));
        EXPECT_FALSE(refused.error().hint.empty());
    }
    EXPECT_EQ(written(0), (std::map<std::string, std::string>{{"read", "1ms"}}));
    EXPECT_EQ(written(1), (std::map<std::string, std::string>{{"errno", "EIO"}}));
    EXPECT_EQ(layers_[1]->command("error", {})->at(1).second, "EIO");
}

TEST_F(Answers, WhatCannotBeWrittenDownIsNotChanged) {
    serve({"delay:read=1ms"});
    ASSERT_EQ(::rename(root_.path("state").c_str(), root_.path("gone").c_str()), 0);
    EXPECT_FALSE(settings("delay", {"read=9ms"}));
    EXPECT_EQ(layers_[0]->command("delay", {})->at(0).second, "1ms");
}

TEST_F(Answers, CommandsReachTheLayerThatIsMeant) {
    serve({"delay"});
    EXPECT_THAT(command("", "dance").error().message(), HasSubstr("no such command"));
    EXPECT_THAT(command("ram", "dance").error().message(), HasSubstr("no such command"));
    EXPECT_THAT(command("cow", "dance").error().message(), HasSubstr("this disk has delay, ram"));
    EXPECT_THAT(command("", "delay").error().message(), HasSubstr("ublkd filter"))
        << "settings have to be written down";
}

TEST_F(Answers, LayerThatIsNotThereIsNobodyElse) {
    serve({"delay:read=1ms", "error"});
    layers_[1] = nullptr;
    for (const auto& refused :
         {settings("error", {}), settings("error", {"count=1"}), command("error", "dance")}) {
        ASSERT_FALSE(refused);
        EXPECT_THAT(refused.error().message(), HasSubstr("served without it"));
    }
    EXPECT_TRUE(settings("delay", {"read=2ms"}));
    EXPECT_TRUE(written(1).empty());
}

TEST_F(Answers, CountsAreThoseOfEachLayer) {
    serve({"error:op=read", "delay", "error:op=write"});
    driver_->issue(0, 0, {.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8});
    EXPECT_EQ(driver_->wait_for_result(0, 0), -EIO);
    const auto counts = ask("counts", json::object());
    ASSERT_TRUE(counts);
    EXPECT_EQ(counts->at("operations").at(0).at(2), 1);
    const json& layers = counts->at("layers");
    ASSERT_EQ(layers.size(), 3U);
    EXPECT_EQ(layers[0], (json{"error#1", "failed_requests", 1}));
    EXPECT_EQ(layers[1], (json{"delay", "delayed_requests", 0}));
    EXPECT_EQ(layers[2], (json{"error#2", "failed_requests", 0}));
}

} // namespace
} // namespace ublk::daemon
