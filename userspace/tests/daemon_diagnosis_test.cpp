// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/diagnosis.h"

#include <algorithm>
#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ublk/copy_mode.h>
#include <unistd.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using testing::HasSubstr;

// A machine made of files, on which all is well.
class Diagnosis : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    Machine machine_{.paths = {.dev = root_.path("dev"),
                               .sys = root_.path("sys"),
                               .proc = root_.path("proc"),
                               .state = root_.path("run/ublkd")},
                     .kernel = "6.1.0-30-amd64",
                     .modules = root_.path("modules"),
                     .udev = root_.path("run/udev")};

    void SetUp() override {
        root_.write("sys/module/ublk_drv/initstate", "live\n");
        root_.write("sys/module/ublk_drv/taint", "OE\n");
        root_.write("sys/module/ublk_drv/version", "1.2\n");
        root_.write("sys/module/ublk_drv/parameters/ublks_max", "2\n");
        root_.write("dev/ublk-control", "");
        root_.write("run/udev/control", "");
        root_.write("proc/sys/kernel/io_uring_disabled", "0\n");
        root_.write("proc/swaps", "Filename\t\t\t\tType\n");
        root_.link("proc/1/ns/mnt", "mnt:[1]");
    }

    Finding find(std::string_view check) const {
        const auto findings = diagnose(machine_);
        const auto found = std::find_if(findings.begin(), findings.end(),
                                        [&](const Finding& f) { return f.check == check; });
        EXPECT_NE(found, findings.end()) << check;
        return found == findings.end() ? Finding{} : *found;
    }
    void expect(std::string_view check, Verdict verdict, const std::string& what,
                const std::string& remedy = "") const {
        const Finding found = find(check);
        EXPECT_EQ(name_of(found.verdict), name_of(verdict)) << found.what;
        EXPECT_THAT(found.what, HasSubstr(what));
        EXPECT_THAT(found.remedy, HasSubstr(remedy));
        EXPECT_EQ(found.remedy.empty(), verdict == Verdict::good);
    }
    void remove(const std::string& name) const { std::filesystem::remove_all(root_.path(name)); }

    // Served by this process, which is alive, in a mount namespace of its own.
    std::string server_ = "proc/" + std::to_string(::getpid());
    void add_disk() {
        machine_.devices.push_back({.number = 3, .state = DeviceState::live, .server = ::getpid()});
        root_.write("sys/block/ublkb3/dev", "259:7\n");
        root_.link(server_ + "/ns/mnt", "mnt:[2]");
        root_.write(server_ + "/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
        root_.write(server_ + "/status", "VmPeak: 9 kB\nVmLck:\t    8000 kB\nVmPin: 0 kB\n");
    }
};

TEST_F(Diagnosis, GoodMachineNeedsNothing) {
    add_disk();
    for (const Finding& finding : diagnose(machine_)) {
        EXPECT_EQ(name_of(finding.verdict), "good") << finding.check << ": " << finding.what;
        EXPECT_EQ(finding.remedy, "") << finding.check;
    }
    expect("driver", Verdict::good, "out-of-tree module 1.2, kernel 6.1.0-30-amd64");
    expect("disks", Verdict::good, "1, all served");
}

TEST_F(Diagnosis, MissingDriverIsLookedForOnDisk) {
    remove("sys/module");
    remove("dev/ublk-control");
    expect("driver", Verdict::bad, "none for kernel 6.1.0-30-amd64", "ublk-dkms");
    const std::string file = root_.write("modules/6.1.0-30-amd64/updates/dkms/ublk_drv.ko.xz", "x");
    expect("driver", Verdict::bad, file + " is not loaded", "modprobe ublk_drv");
    EXPECT_EQ(find("driver").exit, Exit::driver);
}

TEST_F(Diagnosis, DriversThatAreKnownToBeBadAreNamedAndOursIsNot) {
    machine_.kernel = "6.17.0-1010-azure";
    expect("driver", Verdict::good, "out-of-tree");
    root_.write("sys/module/ublk_drv/taint", "\n");
    expect("driver", Verdict::bad, "in-tree module of kernel 6.17.0-1010-azure", "ublk-dkms");
    machine_.kernel = "6.17.0-1010-gcp";
    expect("driver", Verdict::good, "in-tree");
}

TEST_F(Diagnosis, ControlNodeThatAContainerLacksIsBad) {
    remove("dev/ublk-control");
    expect("node", Verdict::bad, "is missing", "--device /dev/ublk-control");
    EXPECT_EQ(find("node").exit, Exit::missing);
}

TEST_F(Diagnosis, SecureBootAsksForASignatureUnlessTheDriverIsThere) {
    root_.write("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                std::string("\6\0\0\0\1", 5));
    expect("signature", Verdict::good, "is loaded");
    remove("sys/module");
    remove("dev/ublk-control");
    expect("signature", Verdict::doubtful, "Secure Boot", "mokutil --import");
    root_.write("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                std::string("\6\0\0\0\0", 5));
    expect("signature", Verdict::good, "no Secure Boot");
    root_.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
    expect("signature", Verdict::doubtful, "Secure Boot", "mokutil --import");
}

TEST_F(Diagnosis, IoUringThatIsForbiddenSaysByWhom) {
    machine_.ring_error = EPERM;
    expect("io_uring", Verdict::bad, "Operation not permitted", "seccomp");
    root_.write("proc/sys/kernel/io_uring_disabled", "2\n");
    expect("io_uring", Verdict::bad, "io_uring_disabled is 2", "sysctl");
    machine_.ring_error = ENOSYS;
    remove("proc/sys/kernel/io_uring_disabled");
    expect("io_uring", Verdict::bad, "not implemented", "CONFIG_IO_URING");
    machine_.ring_error = 0;
    root_.write("proc/sys/kernel/io_uring_disabled", "1\n");
    expect("io_uring", Verdict::doubtful, "root", "sysctl");
}

TEST_F(Diagnosis, MachineWithoutUdevIsDoubtful) {
    remove("run/udev");
    expect("udev", Verdict::doubtful, "does not run", "systemd-udevd");
}

TEST_F(Diagnosis, UsersWhoMayMakeNoMoreDisksAreTold) {
    std::uint64_t unprivileged = 0;
    for (const FeatureName& name : feature_names())
        if (name.name == "UNPRIVILEGED_DEV")
            unprivileged = name.bit;
    machine_.devices.push_back({.number = 1, .server = ::getpid(), .features = unprivileged});
    expect("number", Verdict::good, "1 of 2");
    machine_.devices.push_back({.number = 2, .server = ::getpid(), .features = unprivileged});
    expect("number", Verdict::doubtful, "2 disks", "echo 4 > ");
}

TEST_F(Diagnosis, DiskWithoutServerSaysHowToGoOn) {
    add_disk();
    machine_.devices.front().server = -1;
    machine_.devices.front().state = DeviceState::quiesced;
    expect("disks", Verdict::bad, "/dev/ublkb3 has no server: its I/O waits", "del --force 3");
    for (const FeatureName& name : feature_names())
        if (name.name == "USER_RECOVERY")
            machine_.devices.front().features |= name.bit;
    expect("disks", Verdict::bad, "its I/O waits", "ublkd recover 3");
    machine_.devices.front().state = DeviceState::fail_io;
    expect("disks", Verdict::bad, "its I/O fails", "ublkd recover 3");
    machine_.devices.front().state = DeviceState::dead;
    expect("disks", Verdict::doubtful, "never started", "ublkd del 3");
}

TEST_F(Diagnosis, ServerThatHasItsOwnDiskMountedIsBad) {
    add_disk();
    root_.write(server_ + "/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                                        "23 1 259:7 / /srv rw - ext4 /dev/ublkb3 rw\n");
    expect("disks", Verdict::bad, "mounted on /srv in its own mount namespace", "umount /srv");
    // That of all others is where its users have mounted it.
    remove(server_ + "/ns");
    root_.link(server_ + "/ns/mnt", "mnt:[1]");
    expect("disks", Verdict::good, "all served");
}

TEST_F(Diagnosis, SwapWhoseServerCanBeSwappedOutIsBad) {
    add_disk();
    root_.write("proc/swaps", "Filename Type\n/dev/ublkb3 partition\n");
    expect("disks", Verdict::good, "all served");
    root_.write(server_ + "/status", "VmPeak: 9 kB\nVmLck:\t       0 kB\nVmPin: 7 kB\n");
    expect("disks", Verdict::bad, "is a swap", "LimitMEMLOCK");
}

} // namespace
} // namespace ublk::daemon
