// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/options.h>

#include <gtest/gtest.h>
#include <vector>

namespace ublk {
namespace {

constexpr OptionInfo known[] = {
    {.name = "file",
     .type = OptionType::path,
     .default_value = "",
     .help = "image",
     .required = true},
    {.name = "size", .type = OptionType::size, .default_value = "1G", .help = "size"},
    {.name = "copies", .type = OptionType::number, .default_value = "", .help = "copies"},
    {.name = "direct", .type = OptionType::yes_no, .default_value = "yes", .help = "O_DIRECT"},
};

Result<OptionValues> parse(std::vector<std::string> words) { return parse_options(known, words); }

std::string failure(std::vector<std::string> words) {
    const Result<OptionValues> values = parse(std::move(words));
    if (values)
        return "no failure";
    EXPECT_EQ(values.error().kind, ErrorKind::usage);
    return values.error().message();
}

TEST(Options, GivenValuesAndDefaults) {
    Result<OptionValues> values = parse({"file=/a=b", "size=4K"});
    ASSERT_TRUE(values);
    EXPECT_EQ(values->text("file"), "/a=b");
    EXPECT_EQ(values->size("size"), 4096U);
    EXPECT_TRUE(values->yes("direct"));
    EXPECT_FALSE(values->is_set("copies"));
    EXPECT_EQ(values->size("copies"), 0U);
}

TEST(Options, UnknownKeyNamesTheKnownOnes) {
    const std::string message = failure({"file=/a", "syze=1"});
    EXPECT_NE(message.find("syze"), std::string::npos);
    EXPECT_NE(message.find("file, size, copies, direct"), std::string::npos);
}

TEST(Options, MissingRequiredOption) { EXPECT_NE(failure({}).find("file"), std::string::npos); }
TEST(Options, WordWithoutEquals) {
    EXPECT_NE(failure({"file"}).find("key=value"), std::string::npos);
}
TEST(Options, SameKeyTwice) {
    EXPECT_NE(failure({"file=/a", "file=/b"}).find("once"), std::string::npos);
}
TEST(Options, EmptyPath) { EXPECT_NE(failure({"file="}), "no failure"); }
TEST(Options, BadSize) { EXPECT_NE(failure({"file=/a", "size=1Q"}), "no failure"); }
TEST(Options, SuffixOnANumber) { EXPECT_NE(failure({"file=/a", "copies=1K"}), "no failure"); }
TEST(Options, NeitherYesNorNo) { EXPECT_NE(failure({"file=/a", "direct=maybe"}), "no failure"); }

TEST(ParseSize, UnderstandsBinarySuffixes) {
    EXPECT_EQ(*parse_size("0"), 0U);
    EXPECT_EQ(*parse_size("513"), 513U);
    EXPECT_EQ(*parse_size("1K"), 1024U);
    EXPECT_EQ(*parse_size("3M"), 3U << 20);
    EXPECT_EQ(*parse_size("1G"), 1U << 30);
    EXPECT_EQ(*parse_size("16T"), std::uint64_t{16} << 40);
}

TEST(ParseSize, RejectsAnythingElse) {
    for (const char* text : {"", "K", "-1", "+1", "1k", "1KB", "1 K", "0x10", "1.5G", "12T3"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(ParseSize, RejectsOverflow) {
    EXPECT_FALSE(parse_size("99999999999999999999"));
    EXPECT_FALSE(parse_size("16777216T"));
    EXPECT_TRUE(parse_size("16777215T"));
}

} // namespace
} // namespace ublk
