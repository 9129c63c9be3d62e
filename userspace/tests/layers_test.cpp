// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ublk::targets {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// delay, error, delay, then a target on two others.
Stack example() {
    Stack stack;
    stack.target = {"mirror"};
    stack.filters = {{"delay", {{"read", "1ms"}}}, {"error"}, {"delay", {{"read", "2ms"}}}};
    Stack leg;
    leg.target = {"loop", {{"file", "/a"}}};
    stack.children = {leg, leg};
    return stack;
}

std::vector<std::string> labels(const Stack& stack) {
    std::vector<std::string> all;
    for (const PlacedLayer& placed : layers_of(stack))
        all.push_back(std::string(2 * placed.depth, ' ') + placed.label);
    return all;
}

TEST(Layers, StandInOneLineFromTheOutside) {
    EXPECT_THAT(labels(example()),
                ElementsAre("delay#1", "error", "delay#2", "mirror", "  loop#1", "  loop#2"));
    EXPECT_TRUE(layers_of(example())[1].is_filter);
    EXPECT_FALSE(layers_of(example())[3].is_filter);
}

TEST(Layers, AreFoundByName) {
    const auto layers = layers_of(example());
    EXPECT_EQ(*find_layer(layers, "error"), 1U);
    EXPECT_EQ(*find_layer(layers, "error#1"), 1U);
    EXPECT_EQ(*find_layer(layers, "delay#2"), 2U);
    EXPECT_EQ(*find_layer(layers, "loop#1"), 4U);
}

TEST(Layers, OneOfSeveralHasToBeSaid) {
    const auto layers = layers_of(example());
    for (const char* name : {"delay", "delay#3", "delay#0", "delay#", "delay#x", "delay#1x"}) {
        const auto found = find_layer(layers, name);
        ASSERT_FALSE(found) << name;
        EXPECT_EQ(found.error().kind, ErrorKind::usage);
        EXPECT_THAT(found.error().hint, HasSubstr("delay#1, delay#2"));
    }
}

TEST(Layers, NamesOfOthersAreToldWhichThereAre) {
    const auto found = find_layer(layers_of(example()), "rate");
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().hint, HasSubstr("delay#1, error, delay#2, mirror, loop#1, loop#2"));
}

TEST(Layers, AreChangedInPlace) {
    Stack stack = example();
    layer_at(stack, 2).options["read"] = "9ms";
    EXPECT_EQ(stack.filters[2].options.at("read"), "9ms");
    layer_at(stack, 3).name = "stripe";
    EXPECT_EQ(stack.target.name, "stripe");
    layer_at(stack, 5).options["file"] = "/b";
    EXPECT_EQ(stack.children[1].target.options.at("file"), "/b");
    EXPECT_EQ(stack.children[0].target.options.at("file"), "/a");
}

TEST(Layers, HaveDefaultsForWhatWasNotGiven) {
    Stack stack = *parse_child("loop file=/a");
    EXPECT_EQ(values_of(layers_of(stack)[0])->text("direct"), "yes");
    stack.target.name = "gone";
    EXPECT_FALSE(values_of(layers_of(stack)[0]));
    EXPECT_EQ(info_of(layers_of(stack)[0]), nullptr);
}

TEST(Layers, OfABuiltStackAreInTheSameOrder) {
    Stack stack = *parse_child("ram size=1M");
    stack.filters = {*parse_filter("delay:read=1ms"), *parse_filter("error:count=0"),
                     *parse_filter("delay:read=2ms")};
    const auto built = build_layers(stack, {});
    ASSERT_TRUE(built);
    ASSERT_EQ(built->layers.size(), 4U);
    EXPECT_EQ(built->layers[0], built->target.get());
    EXPECT_EQ(built->layers[0]->command("delay", {})->front().second, "1ms");
    EXPECT_EQ(built->layers[2]->command("delay", {})->front().second, "2ms");
    EXPECT_FALSE(built->layers[3]->command("delay", {}));
}

} // namespace
} // namespace ublk::targets
