// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/text.h"

#include <random>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/json.h"

namespace ublk::daemon {
namespace {

TEST(Text, OfUtf8IsTheSame) {
    for (const char* text : {"", "/a b\"c", "/\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                             "\xf4\x8f\xbf\xbf", "a\\b", "\\xzz", "\\x", "\\xA0", "\n\x01"}) {
        EXPECT_EQ(to_text(text), text);
        EXPECT_EQ(to_bytes(text), text);
    }
}

TEST(Text, EscapesBytesThatAreNone) {
    EXPECT_EQ(to_text("/\xff/\x80"), "/\\xff/\\x80");
    EXPECT_EQ(to_text("\xc3"), "\\xc3") << "cut";
    EXPECT_EQ(to_text("\xc0\xaf"), "\\xc0\\xaf") << "longer than it need be";
    EXPECT_EQ(to_text("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
    EXPECT_EQ(to_text("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "too high";
}

TEST(Text, EscapesWhatLooksEscaped) {
    EXPECT_EQ(to_text("\\xff"), "\\x5cxff");
    EXPECT_EQ(to_bytes("\\x5cxff"), "\\xff");
}

// Of pieces that are what matters to it, in any order: valid JSON, and the same bytes again.
TEST(Text, OfAnythingCanBeUndone) {
    const std::vector<std::string> pieces{"\\",   "x",    "5", "c",    "f",        "\xff", "\x80",
                                          "\xc3", "\xa4", "/", "\\x5", "\xf0\x9f", "\xe2", "\\x5c"};
    std::mt19937 random{4711};
    for (int round = 0; round < 2000; ++round) {
        std::string bytes;
        for (unsigned count = random() % 9; count > 0; --count)
            bytes += pieces[random() % pieces.size()];
        const std::string text = to_text(bytes);
        ASSERT_EQ(to_bytes(text), bytes) << text;
        ASSERT_EQ(parse_json(write_json(nlohmann::json(text))), text);
    }
}

TEST(Text, OfADocumentIsThatOfItsStrings) {
    const nlohmann::ordered_json bytes{{"a", {"\xff", 7, nullptr, {{"b", "\xfe"}}}}, {"c", true}};
    const auto text = document_to_text(bytes);
    EXPECT_EQ(write_json(text), R"({"a":["\\xff",7,null,{"b":"\\xfe"}],"c":true})");
    EXPECT_EQ(document_to_bytes(text), bytes);
}

} // namespace
} // namespace ublk::daemon
