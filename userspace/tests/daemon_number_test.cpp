// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/number.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace ublk::daemon {
namespace {

TEST(ParseNumber, TakesDecimalDigits) {
    EXPECT_EQ(parse_number("0"), 0U);
    EXPECT_EQ(parse_number("18446744073709551615"), UINT64_MAX);
}

TEST(ParseNumber, RefusesAnythingElse) {
    for (const char* text :
         {"", " 1", "1 ", "+1", "-1", "0x10", "1K", "1.0", "18446744073709551616"})
        EXPECT_FALSE(parse_number(text)) << text;
}

TEST(ParseNumberIn, IncludesBothEndsOfTheRange) {
    EXPECT_EQ(*parse_number_in("--depth", "1", {1, 4096}), 1U);
    EXPECT_EQ(*parse_number_in("--depth", "4096", {1, 4096}), 4096U);
}

TEST(ParseNumberIn, NamesOptionAndRangeInItsError) {
    const auto number = parse_number_in("--depth", "4097", {1, 4096});
    ASSERT_FALSE(number);
    EXPECT_EQ(number.error().kind, ErrorKind::usage);
    EXPECT_EQ(number.error().step, "--depth=4097");
    EXPECT_EQ(number.error().hint, "use 1 to 4096");
}

TEST(FormatSize, IsExactAndShort) {
    EXPECT_EQ(format_size(0), "0");
    EXPECT_EQ(format_size(1000), "1000");
    EXPECT_EQ(format_size(1024), "1K");
    EXPECT_EQ(format_size(1536U << 10), "1536K");
    EXPECT_EQ(format_size(std::uint64_t{10} << 30), "10G");
    EXPECT_EQ(format_size(std::uint64_t{2048} << 40), "2048T");
}

} // namespace
} // namespace ublk::daemon
