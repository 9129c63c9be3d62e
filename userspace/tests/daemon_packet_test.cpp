// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/packet.h"

#include <array>
#include <cerrno>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "daemon/json.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;

class PacketTest : public testing::Test {
protected:
    UniqueFd near_;
    UniqueFd far_;

    void SetUp() override {
        std::array<int, 2> ends{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
        near_ = UniqueFd{ends[0]};
        far_ = UniqueFd{ends[1]};
    }
};

TEST_F(PacketTest, ArrivesAsItWasSent) {
    ASSERT_TRUE(send_packet(near_, "one"));
    ASSERT_TRUE(send_packet(near_, "another"));
    EXPECT_EQ(*receive_packet(far_, Clock::now() + 5s), "one");
    EXPECT_EQ(*receive_packet(far_, Clock::now() + 5s), "another");
}

// The counts of a disk of many layers are long.
TEST_F(PacketTest, ArrivesWholeHoweverLongItIs) {
    const std::string text(100000, 'x');
    ASSERT_TRUE(send_packet(near_, text));
    EXPECT_EQ(*receive_packet(far_, Clock::now() + 5s), text);
}

TEST_F(PacketTest, NobodyWaitsForEver) {
    EXPECT_EQ(receive_packet(far_, Clock::now()).error().code, ETIMEDOUT);
}

TEST_F(PacketTest, OtherSideThatHasGoneIsAnError) {
    near_ = UniqueFd{};
    EXPECT_EQ(receive_packet(far_, Clock::now() + 5s).error().code, EPIPE);
    EXPECT_FALSE(send_packet(far_, "anybody?"));
}

TEST(PackedError, IsUnpackedWhole) {
    const Error error =
        unpack_error(pack_error({EBUSY, "file=/x", "look elsewhere", ErrorKind::backend}));
    EXPECT_EQ(error.code, EBUSY);
    EXPECT_EQ(error.step, "file=/x");
    EXPECT_EQ(error.hint, "look elsewhere");
    EXPECT_EQ(error.kind, ErrorKind::backend);
}

TEST(EncodedPacket, TakesFileNamesThatAreNoText) {
    const nlohmann::json document{{"file", "/\xff"}, {"text", "\\xff"}};
    const std::string packet = encode_packet(document);
    EXPECT_EQ(parse_json(packet).at("file"), "/\\xff");
    EXPECT_EQ(decode_packet(packet), document);
}

} // namespace
} // namespace ublk::daemon
