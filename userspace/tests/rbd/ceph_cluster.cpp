// SPDX-License-Identifier: GPL-2.0-or-later
// Calls the script and Ceph's own commands.
#include "rbd/ceph_cluster.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace ublk::test {

namespace {

constexpr const char* script = UBLK_SOURCE_DIR "/selftests/lib/mini-ceph";

constexpr std::chrono::seconds start_limit{150};

std::string make_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "ublk-ceph-XXXXXX").string();
    return ::mkdtemp(name.data()) ? name : std::string{};
}

} // namespace

CephCluster::CephCluster() : directory_(make_directory()) {
    const std::string command = std::string(script) + " run " + directory_;
    script_ = ::popen(command.c_str(), "we");
    const auto deadline = std::chrono::steady_clock::now() + start_limit;
    while (!std::filesystem::exists(directory_ + "/ready") &&
           std::chrono::steady_clock::now() < deadline)
        ::poll(nullptr, 0, 50);
    EXPECT_TRUE(std::filesystem::exists(directory_ + "/ready"))
        << "there is no cluster, so nothing can be tested";
}

CephCluster::~CephCluster() {
    EXPECT_EQ(::pclose(script_), 0);
    std::filesystem::remove_all(directory_);
}

bool CephCluster::run(const std::string& command) const {
    return std::system((command + " >>" + directory_ + "/log/tests.log 2>&1").c_str()) == 0;
}

bool CephCluster::rbd(const std::string& words) const {
    return run("rbd -c " + conf() + " " + words);
}

bool CephCluster::ceph(const std::string& words) const {
    return run("ceph -c " + conf() + " " + words);
}

bool CephCluster::mini_ceph(const std::string& action, const std::string& daemon) const {
    return run(std::string(script) + " " + action + " " + directory_ + " " + daemon);
}

std::string CephCluster::ask(const std::string& command) const {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe{::popen(command.c_str(), "r"), ::pclose};
    std::string last;
    std::array<char, 4096> line{};
    while (pipe && std::fgets(line.data(), line.size(), pipe.get()))
        last = line.data();
    if (last.ends_with('\n'))
        last.pop_back();
    return last;
}

pid_t CephCluster::pid(const std::string& daemon) const {
    return std::atoi(ask(std::string(script) + " pid " + directory_ + " " + daemon).c_str());
}

void CephCluster::signal_osds(int signal) const {
    for (const char* osd : {"osd.0", "osd.1", "osd.2"}) {
        const pid_t process = pid(osd);
        ASSERT_GT(process, 0);
        ::kill(process, signal);
    }
}

} // namespace ublk::test
