// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets/nbd_uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ublk::targets::nbd {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(NbdUri, IsTakenApart) {
    const auto tcp = parse_uri("nbds://alice@Example.ORG:10810/disk%20one");
    ASSERT_TRUE(tcp) << tcp.error().message();
    EXPECT_TRUE(tcp->tls);
    EXPECT_EQ(tcp->user, "alice");
    EXPECT_EQ(tcp->identity(), "tcp:example.org:10810/disk one");
    EXPECT_TRUE(tcp->needs_resolver());

    const auto local = parse_uri("nbd+unix:///name?socket=/run//a%2Bb");
    ASSERT_TRUE(local) << local.error().message();
    EXPECT_TRUE(local->is_unix());
    EXPECT_EQ(local->socket, "/run//a+b");
    EXPECT_EQ(local->identity(), "unix:/run/a+b/name");
}

TEST(NbdUri, HasADefaultPortAndExport) {
    EXPECT_EQ(parse_uri("nbd://127.0.0.1")->identity(), "tcp:127.0.0.1:10809/");
    EXPECT_EQ(parse_uri("nbd://127.0.0.1:10809/")->identity(), "tcp:127.0.0.1:10809/");
    EXPECT_EQ(parse_uri("nbd://[::1]:7/x")->identity(), "tcp:::1:7/x");
    EXPECT_FALSE(parse_uri("nbd://127.0.0.1")->needs_resolver());
    EXPECT_FALSE(parse_uri("nbd://[::1]/x")->needs_resolver());
}

TEST(NbdUri, IsRefusedWithAPasswordWhichIsNotShown) {
    for (const char* uri : {"nbds://alice:secret@host/x", "nbds+unix://alice:secret@/?socket=/s",
                            "http://alice:secret@host/x"}) {
        const auto parsed = parse_uri(uri);
        ASSERT_FALSE(parsed) << uri;
        EXPECT_EQ(parsed.error().kind, ErrorKind::usage);
        EXPECT_THAT(parsed.error().message(), HasSubstr("password"));
        EXPECT_THAT(parsed.error().message(), Not(HasSubstr("secret")));
    }
}

TEST(NbdUri, IsRefusedIfItMeansNothing) {
    for (const char* uri :
         {"", "nbd", "/img", "http://host/x", "nbd:///x", "nbd://host:port/x", "nbd://host:/x",
          "nbd://host/x?socket=/s", "nbd+unix:///x", "nbd+unix:///x?socket=relative",
          "nbd+unix://host/x?socket=/s", "nbd://host/%zz", "nbd://host/%00", "nbd://host/%4",
          "nbd+unix:///x?socket=/s&tls-psk-file=/k", "nbds://host/?tls-certificates=/c"}) {
        const auto parsed = parse_uri(uri);
        ASSERT_FALSE(parsed) << uri;
        EXPECT_EQ(parsed.error().kind, ErrorKind::usage) << uri;
        EXPECT_FALSE(parsed.error().hint.empty()) << uri;
    }
}

} // namespace
} // namespace ublk::targets::nbd
