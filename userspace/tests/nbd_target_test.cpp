// SPDX-License-Identifier: GPL-2.0-or-later
// The nbd target against nbdkit and qemu-nbd: what arrives there, over which connections, and with
// which keys.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support/nbd_disk.h"
#include "support/nbd_server.h"
#include "support/temporary_directory.h"
#include "targets/stack.h"

namespace ublk::targets {
namespace {

using test::NbdDisk;
using test::NbdServer;
using test::pattern;
using test::TargetBench;
using testing::HasSubstr;
using testing::Not;

class NbdTarget : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    std::vector<std::byte> data_ = pattern(8192, 3);
    std::vector<std::byte> got_ = pattern(8192, 9);

    std::string socket() const { return directory_.path("s"); }
    std::string file(const std::string& name) const {
        std::ostringstream text;
        text << std::ifstream(directory_.path(name)).rdbuf();
        return text.str();
    }
    static std::unique_ptr<Target> open(const std::vector<std::string>& words,
                                        const GeometryRequest& request = {}) {
        auto target = test::create_target("nbd", words, request);
        EXPECT_TRUE(target) << target.error().message();
        return *std::move(target);
    }
    static std::string refused(const std::vector<std::string>& words) {
        const auto target = test::create_target("nbd", words);
        EXPECT_FALSE(target);
        return target ? "" : target.error().message();
    }
    void exchange(const std::vector<std::string>& words) {
        const auto target = open(words);
        TargetBench bench{*target};
        EXPECT_EQ(bench.write(4096, data_), 8192);
        EXPECT_EQ(bench.flush(), 0);
        EXPECT_EQ(bench.read(4096, got_), 8192);
        EXPECT_EQ(got_, data_);
    }
};

TEST_F(NbdTarget, StoresOnNbdkit) {
    const NbdServer server{socket(), {"nbdkit", "memory", "1M"}};
    exchange({"uri=" + server.uri()});
}

TEST_F(NbdTarget, StoresOnQemuNbd) {
    const std::string image = directory_.create_file("image", 1 << 20);
    const NbdServer server{socket(), {"qemu-nbd", "--format=raw", image}};
    exchange({"uri=" + server.uri()});
}

TEST_F(NbdTarget, StoresOverTcp) {
    // nbdkit can be told a port only, so it gets one of this machine's that is free by now.
    UniqueFd probe{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    probe = UniqueFd{};
    const std::string port = std::to_string(ntohs(address.sin_port));
    const std::string image = directory_.create_file("image", 1 << 20);
    const NbdServer server{NbdServer::Tcp{port}, directory_.path("tcp"), {"nbdkit", "file", image}};
    exchange({"uri=nbd://127.0.0.1:" + port});
    exchange({"uri=nbd://localhost:" + port + "/"});
    const auto by_name = open({"uri=nbd://localhost:" + port});
    const auto by_number = open({"uri=nbd://127.0.0.1:" + port});
    EXPECT_EQ(by_name->backings().front().things.back().handle,
              by_number->backings().front().things.back().handle)
        << "so that it is not attached twice";
}

TEST_F(NbdTarget, PassesEverythingOnUnchanged) {
    NbdServer server{
        socket(), {"nbdkit", "--filter=log", "memory", "4M", "logfile=" + directory_.path("log")}};
    {
        const auto target = open({"uri=" + server.uri()});
        TargetBench bench{*target};
        EXPECT_EQ(bench.write(4096, data_), 8192);
        EXPECT_EQ(bench.write(65536, data_, UBLK_IO_F_FUA), 8192);
        EXPECT_EQ(bench.flush(), 0);
        EXPECT_EQ(bench.discard(1 << 20, 4096), 0);
        EXPECT_EQ(bench.write_zeroes(2 << 20, 8192), 0);
        EXPECT_EQ(bench.write_zeroes(3 << 20, 8192, UBLK_IO_F_NOUNMAP), 0);
        EXPECT_EQ(bench.read(65536, got_), 8192);
    }
    server.terminate();
    const std::string log = file("log");
    EXPECT_THAT(log, HasSubstr("Write id=1 offset=0x1000 count=0x2000 fua=0"));
    EXPECT_THAT(log, HasSubstr("Write id=2 offset=0x10000 count=0x2000 fua=1"));
    EXPECT_THAT(log, HasSubstr("Flush id=3"));
    EXPECT_THAT(log, HasSubstr("Trim id=4 offset=0x100000 count=0x1000"));
    EXPECT_THAT(log, HasSubstr("Zero id=5 offset=0x200000 count=0x2000 trim=1"));
    EXPECT_THAT(log, HasSubstr("Zero id=6 offset=0x300000 count=0x2000 trim=0"));
    EXPECT_THAT(log, HasSubstr("Read id=7 offset=0x10000 count=0x2000"));
    EXPECT_THAT(log, HasSubstr("Disconnect"));
}

TEST_F(NbdTarget, PassesErrorsOnUnchanged) {
    const NbdServer server{socket(),
                           {"nbdkit", "--filter=error", "memory", "1M", "error-pwrite=ENOSPC",
                            "error-pwrite-rate=100%", "error-pread=EIO", "error-pread-rate=100%"}};
    const auto target = open({"uri=" + server.uri()});
    TargetBench bench{*target};
    EXPECT_EQ(bench.write(0, data_), -ENOSPC);
    EXPECT_EQ(bench.read(0, got_), -EIO);
    EXPECT_EQ(bench.flush(), 0) << "an error is no loss of the connection";
}

TEST_F(NbdTarget, WritethroughAsksForDurableWrites) {
    const NbdServer server{
        socket(), {"nbdkit", "--filter=log", "memory", "1M", "logfile=" + directory_.path("log")}};
    {
        const auto target = open({"uri=" + server.uri(), "cache=writethrough"});
        EXPECT_FALSE(target->geometry().volatile_cache);
        TargetBench bench{*target};
        EXPECT_EQ(bench.write(4096, data_), 8192);
    }
    EXPECT_THAT(file("log"), HasSubstr("offset=0x1000 count=0x2000 fua=1"));
}

TEST_F(NbdTarget, LongRequestsAreSplitToWhatTheServerTakes) {
    const NbdServer server{socket(),
                           {"nbdkit", "--filter=log", "--filter=blocksize-policy", "memory", "1M",
                            "blocksize-minimum=512", "blocksize-preferred=4096",
                            "blocksize-maximum=4096", "blocksize-error-policy=error",
                            "logfile=" + directory_.path("log")}};
    // As of a disk that was made when the server took more.
    const auto target = open({"uri=" + server.uri()}, {.max_io_bytes = 65536});
    TargetBench bench{*target};
    EXPECT_EQ(bench.write(4096, data_), 8192);
    EXPECT_EQ(bench.read(4096, got_), 8192);
    EXPECT_EQ(got_, data_);
    EXPECT_EQ(bench.write_zeroes(0, 65536), 0) << "which carries no data";
}

TEST_F(NbdTarget, EachQueueHasAConnectionIfTheServerLikesThat) {
    const NbdServer server{
        socket(), {"nbdkit", "--filter=log", "memory", "1M", "logfile=" + directory_.path("log")}};
    {
        NbdDisk disk{{"uri=" + server.uri()}, 2};
        disk.submit_write(0, 0, 0, data_);
        disk.submit_write(1, 0, 65536, data_);
        EXPECT_EQ(disk.wait(0, 0), 8192);
        EXPECT_EQ(disk.wait(1, 0), 8192);
        EXPECT_EQ(disk.read(0, 8192, 1), data_);
        EXPECT_EQ(disk.read(65536, 8192, 0), data_);
        EXPECT_EQ(disk.measured("connections_up"), 2U);
    }
    EXPECT_THAT(file("log"), HasSubstr("connection=2 Write"));
}

TEST_F(NbdTarget, QueuesShareOneConnectionIfTheServerDoesNot) {
    const NbdServer server{socket(),
                           {"nbdkit", "--filter=multi-conn", "--filter=log", "memory", "4M",
                            "multi-conn-mode=disable", "logfile=" + directory_.path("log")}};
    {
        NbdDisk disk{{"uri=" + server.uri()}, 3};
        const auto large = pattern(256 << 10, 1);
        for (unsigned round = 0; round < 50; ++round) {
            for (unsigned queue = 0; queue < 3; ++queue)
                for (unsigned tag = 0; tag < NbdDisk::depth; ++tag)
                    disk.submit_write(queue, tag, (queue * NbdDisk::depth + tag) * large.size(),
                                      large);
            for (unsigned queue = 0; queue < 3; ++queue)
                for (unsigned tag = 0; tag < NbdDisk::depth; ++tag)
                    EXPECT_EQ(disk.wait(queue, tag), static_cast<int>(large.size()));
        }
        for (unsigned queue = 0; queue < 3; ++queue)
            EXPECT_EQ(disk.read(queue * NbdDisk::depth * large.size(), large.size(), queue), large);
        EXPECT_EQ(disk.measured("connections_up"), 1U);
    }
    EXPECT_THAT(file("log"), Not(HasSubstr("connection=2")));
}

TEST_F(NbdTarget, FiltersStandOnIt) {
    const NbdServer server{socket(), {"nbdkit", "memory", "1M"}};
    for (const std::string filter :
         {"delay:read=1us,write=1us", "error:count=0", "offset:start=64K,size=512K",
          "rate:bytes=1G,requests=1000000"}) {
        Stack stack = *parse_child("nbd uri=" + server.uri());
        stack.filters.push_back(*parse_filter(filter));
        const auto target = build(stack, {});
        ASSERT_TRUE(target) << filter << ": " << target.error().message();
        TargetBench bench{**target};
        EXPECT_EQ(bench.write(4096, data_, UBLK_IO_F_FUA), 8192) << filter;
        EXPECT_EQ(bench.flush(), 0) << filter;
        EXPECT_EQ(bench.read(4096, got_), 8192) << filter;
        EXPECT_EQ(got_, data_) << filter;
    }
}

TEST_F(NbdTarget, ServingAllocatesNothingOfOurs) {
    const NbdServer server{socket(), {"nbdkit", "memory", "1M"}};
    const auto target = open({"uri=" + server.uri()});
    TargetBench bench{*target};
    EXPECT_EQ(bench.read(0, got_), 8192);
    EXPECT_EQ(bench.queue().statistics().frame_heap_allocations, 0U);
}

TEST_F(NbdTarget, GrowsWithTheExport) {
    const std::string image = directory_.create_file("image", 1 << 20);
    const NbdServer server{socket(), {"nbdkit", "file", image}};
    NbdDisk disk{{"uri=" + server.uri()}, 2};
    EXPECT_EQ(disk.write(0, data_), 8192);
    std::filesystem::resize_file(image, 2 << 20);
    const auto resized = disk.server().resize({});
    ASSERT_TRUE(resized) << resized.error().message();
    EXPECT_EQ(resized->after, 2U << 20);
    EXPECT_EQ(disk.write((2 << 20) - 8192, data_), 8192);
    EXPECT_EQ(disk.read((2 << 20) - 8192, 8192, 1), data_);
    EXPECT_EQ(disk.read(0, 8192, 1), data_);
    const auto too_large = disk.server().resize({.bytes = 4 << 20});
    ASSERT_FALSE(too_large);
    EXPECT_THAT(too_large.error().message(), HasSubstr("2097152 bytes"));
    EXPECT_EQ(disk.measured("connections_lost"), 0U);
}

TEST_F(NbdTarget, WhatCannotBeConnectedIsSaid) {
    EXPECT_THAT(refused({"uri=nbd+unix:///?socket=" + socket()}), HasSubstr("No such file"));
    EXPECT_THAT(refused({"uri=nbds://host/", "tls-psk=" + directory_.path("none")}),
                HasSubstr("tls-psk="));
    EXPECT_THAT(refused({"uri=nbd://host/", "tls-username=a"}), HasSubstr("nbds://"));
    EXPECT_THAT(refused({"uri=nbd://127.0.0.1/", "cache=none"}), HasSubstr("writeback"));
    EXPECT_THAT(refused({"uri=nbd://127.0.0.1/", "timeout=1ms"}), HasSubstr("100ms"));
    EXPECT_THAT(refused({"uri=nbd://127.0.0.1/", "connections=1000"}), HasSubstr("128"));

    UniqueFd silent{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(silent.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(silent.get(), 1), 0);
    EXPECT_THAT(refused({"uri=nbd+unix:///?socket=" + socket(), "open-timeout=200ms"}),
                HasSubstr("does not answer"));
}

// With keys made by the tools of GnuTLS.
class NbdTls : public NbdTarget {
protected:
    void make_psk() {
        ASSERT_EQ(test::run_program({"sh", "-c",
                                     "psktool -u alice -p " + directory_.path("psk") + " >" +
                                         directory_.path("psktool.log") + " 2>&1"}),
                  0);
    }
    void make_certificates() {
        const std::string script =
            "set -e; cd " + directory_.path() +
            "; mkdir pki; cd pki; exec >certtool.log 2>&1\n"
            "printf 'cn=test\\nca\\ncert_signing_key\\n' >ca.info\n"
            "certtool --generate-privkey --key-type=ecdsa --outfile ca-key.pem\n"
            "certtool --generate-self-signed --load-privkey ca-key.pem --template ca.info "
            "--outfile ca-cert.pem\n"
            "for who in server client; do\n"
            "printf 'cn=localhost\\ndns_name=localhost\\nip_address=127.0.0.1\\ntls_www_%s\\n"
            "signing_key\\nencryption_key\\n' \"$who\" >\"$who.info\"\n"
            "certtool --generate-privkey --key-type=ecdsa --outfile \"$who-key.pem\"\n"
            "certtool --generate-certificate --load-ca-certificate ca-cert.pem --load-ca-privkey "
            "ca-key.pem --load-privkey \"$who-key.pem\" --template \"$who.info\" --outfile "
            "\"$who-cert.pem\"\ndone\n";
        ASSERT_EQ(test::run_program({"sh", "-c", script}), 0) << file("pki/certtool.log");
    }
};

TEST_F(NbdTls, PreSharedKeysOpenNbdkit) {
    make_psk();
    const NbdServer server{
        socket(),
        {"nbdkit", "--tls=require", "--tls-psk=" + directory_.path("psk"), "memory", "1M"}};
    exchange({"uri=" + server.uri("nbds+unix", "alice"), "tls-psk=" + directory_.path("psk")});
    exchange({"uri=" + server.uri("nbds+unix"), "tls-psk=" + directory_.path("psk"),
              "tls-username=alice"});
    EXPECT_NE(refused({"uri=" + server.uri()}), "") << "without TLS";
    EXPECT_NE(
        refused({"uri=" + server.uri("nbds+unix", "bob"), "tls-psk=" + directory_.path("psk")}),
        "");
}

// Also what GnuTLS has taken from the socket and not handed out yet.
TEST_F(NbdTls, ManyRequestsAtATimeOutliveTheServer) {
    make_psk();
    const std::string image = directory_.create_file("image", 4 << 20);
    NbdServer server{
        socket(),
        {"nbdkit", "--tls=require", "--tls-psk=" + directory_.path("psk"), "file", image}};
    NbdDisk disk{{"uri=" + server.uri("nbds+unix", "alice"), "tls-psk=" + directory_.path("psk")},
                 2};
    const auto for_all = [](auto&& what) {
        for (unsigned queue = 0; queue < 2; ++queue)
            for (unsigned tag = 0; tag < NbdDisk::depth; ++tag)
                what(queue, tag, (queue * NbdDisk::depth + tag) * (256U << 10));
    };
    for (unsigned round = 0; round < 20; ++round) {
        for_all([&](unsigned queue, unsigned tag, std::uint64_t place) {
            disk.submit_write(queue, tag, place, pattern(256 << 10, round + queue + tag));
        });
        if (round % 5 == 3) {
            server.kill();
            server.start();
        }
        for_all([&](unsigned queue, unsigned tag, std::uint64_t) {
            EXPECT_EQ(disk.wait(queue, tag), 256 << 10);
        });
        for_all([&](unsigned queue, unsigned tag, std::uint64_t place) {
            disk.submit(queue, tag, UBLK_IO_OP_READ, place, 256 << 10);
        });
        for_all([&](unsigned queue, unsigned tag, std::uint64_t) {
            EXPECT_EQ(disk.wait(queue, tag), 256 << 10);
            EXPECT_EQ(disk.driver().pages(queue, tag), pattern(256 << 10, round + queue + tag));
        });
    }
    EXPECT_GT(disk.measured("connections_lost"), 0U);
}

TEST_F(NbdTls, CertificatesOpenNbdkit) {
    make_certificates();
    const NbdServer server{socket(),
                           {"nbdkit", "--tls=require", "--tls-verify-peer",
                            "--tls-certificates=" + directory_.path("pki"), "memory", "1M"}};
    // The name in the certificate is not that of a socket.
    exchange({"uri=" + server.uri("nbds+unix"), "tls-certificates=" + directory_.path("pki"),
              "tls-verify-peer=no"});
}

TEST_F(NbdTls, CertificatesOpenQemuNbd) {
    make_certificates();
    const std::string image = directory_.create_file("image", 1 << 20);
    const NbdServer server{socket(),
                           {"qemu-nbd", "--format=raw",
                            "--object=tls-creds-x509,id=t,endpoint=server,verify-peer=on,dir=" +
                                directory_.path("pki"),
                            "--tls-creds=t", image}};
    exchange({"uri=" + server.uri("nbds+unix"), "tls-certificates=" + directory_.path("pki"),
              "tls-verify-peer=no"});
    EXPECT_NE(refused({"uri=" + server.uri()}), "") << "without TLS";
}

} // namespace
} // namespace ublk::targets
