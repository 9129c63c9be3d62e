// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets/registry.h"

#include <cerrno>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ublk::targets {
namespace {

TEST(Registry, FindsEachTargetByItsName) {
    ASSERT_FALSE(all().empty());
    for (const TargetInfo* target : all()) {
        const auto found = find(target->name);
        ASSERT_TRUE(found) << target->name;
        EXPECT_EQ(*found, target);
    }
}

TEST(Registry, NamesAreUnique) {
    std::set<std::string_view> names;
    for (const TargetInfo* target : all())
        EXPECT_TRUE(names.insert(target->name).second) << target->name;
    for (const MissingTarget& target : missing())
        EXPECT_TRUE(names.insert(target.name).second) << target.name;
}

TEST(Registry, EveryTargetAndKeyIsDescribed) {
    for (const TargetInfo* target : all()) {
        EXPECT_FALSE(target->summary.empty()) << target->name;
        for (const OptionInfo& option : target->options)
            EXPECT_FALSE(option.help.empty()) << target->name << " " << option.name;
    }
}

TEST(Registry, EveryMissingTargetHasAReason) {
    for (const MissingTarget& target : missing())
        EXPECT_FALSE(target.reason.empty()) << target.name;
}

TEST(Registry, UnknownTargetIsMissingAndAllAreNamed) {
    const auto found = find("nul");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ENOENT);
    EXPECT_THAT(found.error().hint,
                testing::AllOf(testing::HasSubstr("null"), testing::HasSubstr("ram"),
                               testing::HasSubstr("loop")));
}

} // namespace
} // namespace ublk::targets
