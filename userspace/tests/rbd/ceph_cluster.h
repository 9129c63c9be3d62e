// SPDX-License-Identifier: GPL-2.0-or-later
// CephCluster is a cluster of the tests' own, made by selftests/lib/mini-ceph for as long as it
// lives.
#ifndef UBLK_TESTS_RBD_CEPH_CLUSTER_H
#define UBLK_TESTS_RBD_CEPH_CLUSTER_H

#include <cstdio>
#include <string>
#include <vector>

#include <sys/types.h>

namespace ublk::test {

class CephCluster {
public:
    CephCluster();
    CephCluster(const CephCluster&) = delete;
    CephCluster& operator=(const CephCluster&) = delete;
    ~CephCluster();

    const std::string& directory() const { return directory_; }
    std::string conf() const { return directory_ + "/ceph.conf"; }
    std::string keyring() const { return directory_ + "/keyring"; }

    // Each is a command line; true if it went well. What it prints goes to the log of the cluster.
    bool rbd(const std::string& words) const;
    bool ceph(const std::string& words) const;
    bool mini_ceph(const std::string& action, const std::string& daemon) const;
    // The last line that a command prints.
    std::string ask(const std::string& command) const;

    pid_t pid(const std::string& daemon) const;
    // Sends a signal to all OSDs.
    void signal_osds(int signal) const;

private:
    bool run(const std::string& command) const;

    std::string directory_;
    std::FILE* script_ = nullptr; // the cluster lasts as long as this is open
};

} // namespace ublk::test

#endif
