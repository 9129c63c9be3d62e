// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/table.h"

#include <gtest/gtest.h>

namespace ublk::daemon {
namespace {

TEST(FormatTable, AlignsColumnsWithoutTrailingBlanks) {
    EXPECT_EQ(format_table({{"A", "LONG", "C"}, {"longer", "b", ""}}),
              "A       LONG  C\nlonger  b\n");
}

TEST(FormatTable, TakesRowsOfDifferentLength) {
    EXPECT_EQ(format_table({{"a"}, {"b", "c"}}), "a\nb  c\n");
}

TEST(FormatTable, OfNothingIsNothing) { EXPECT_EQ(format_table({}), ""); }

} // namespace
} // namespace ublk::daemon
