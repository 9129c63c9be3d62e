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

TEST(Table, AlignsColumnsWithoutBlanksAtLineEnds) {
    EXPECT_EQ(format_table({{"DEVICE", "SIZE", "STATE"},
                            {"/dev/ublkb0", "1G", "live"},
                            {"/dev/ublkb10", "512", "orphaned"}}),
              "DEVICE        SIZE  STATE\n"
              "/dev/ublkb0   1G    live\n"
              "/dev/ublkb10  512   orphaned\n");
}

TEST(Table, MissingAndEmptyCellsTakeTheirRoom) {
    EXPECT_EQ(format_table({{"a", "", "c"}, {"b"}, {"", "xx"}}), "a      c\nb\n   xx\n");
}

TEST(Table, BlanksInACellStay) {
    EXPECT_EQ(format_table({{"  file=", "path"}}), "  file=  path\n");
}

TEST(Table, WideCellsAreNeitherCutNorWrapped) {
    const std::string wide(500, 'x');
    EXPECT_EQ(format_table({{wide, "y"}}), wide + "  y\n");
}

TEST(Table, KeepsEveryByte) {
    EXPECT_EQ(format_table({{"a\xff\xfe", "b\tc"}}), "a\xff\xfe  b\tc\n");
}

} // namespace
} // namespace ublk::daemon
