// SPDX-License-Identifier: GPL-2.0-or-later
// Each function looks at one thing. None of them changes anything, needs a driver, or waits.
#include "diagnosis.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ublk/recovery.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "device.h"
#include "driver_origin.h"
#include "features.h"
#include "file.h"
#include "holders.h"
#include "number.h"

namespace ublk::daemon {

namespace {

using Findings = std::vector<Finding>;

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// Releases whose own driver loses commands or crashes, by how their names begin and what is in
// them. Ours is not affected.
struct BadRelease {
    std::string_view begin;
    std::string_view part;
    std::string_view what;
};
constexpr std::array known_bad{
    BadRelease{"6.17.0-10", "azure", "crashes under load"},
    BadRelease{"6.17.0-10", "aws", "crashes under load"},
    BadRelease{"6.18.4", "", "can hang for ever when disks come and go"},
    BadRelease{"6.18.5", "", "can hang for ever when disks come and go"},
};

constexpr std::string_view ours_instead = "install ublk-dkms, whose driver stands in for the "
                                          "kernel's, and load it: modprobe -r ublk_drv; modprobe "
                                          "ublk_drv";

// Where a module of the kernel that runs may be, in the order of depmod.
std::string find_module_file(const Machine& machine) {
    for (const char* place : {"updates/dkms", "updates", "extra", "kernel/drivers/block"})
        for (const char* suffix : {".ko", ".ko.xz", ".ko.zst", ".ko.gz"}) {
            std::string file =
                fmt::format("{}/{}/{}/ublk_drv{}", machine.modules, machine.kernel, place, suffix);
            if (exists(file))
                return file;
        }
    return {};
}

bool has_driver(const Machine& machine) {
    return exists(machine.paths.sys + "/module/ublk_drv") ||
           exists(machine.paths.dev + "/ublk-control");
}

void check_driver(const Machine& machine, Findings& findings) {
    if (!has_driver(machine)) {
        const std::string file = find_module_file(machine);
        findings.push_back({"driver", Verdict::bad,
                            file.empty()
                                ? fmt::format("there is none for kernel {}", machine.kernel)
                                : fmt::format("{} is not loaded", file),
                            file.empty() ? "install ublk-dkms, or build it (make module) and load "
                                           "kernel/ublk_drv.ko by insmod"
                                         : "modprobe ublk_drv"});
        return;
    }
    const std::string origin = origin_of_driver(machine.paths);
    const std::string version = read_word(machine.paths.sys + "/module/ublk_drv/version");
    if (origin != "out-of-tree module")
        for (const BadRelease& bad : known_bad)
            if (machine.kernel.starts_with(bad.begin) &&
                machine.kernel.find(bad.part) != std::string::npos) {
                findings.push_back(
                    {"driver", Verdict::bad,
                     fmt::format("the {} of kernel {} {}", origin, machine.kernel, bad.what),
                     std::string(ours_instead)});
                return;
            }
    findings.push_back({"driver", Verdict::good,
                        fmt::format("{}{}{}, kernel {}", origin, version.empty() ? "" : " ",
                                    version, machine.kernel)});
}

void check_control_node(const Machine& machine, Findings& findings) {
    const std::string node = machine.paths.dev + "/ublk-control";
    if (!has_driver(machine))
        return;
    if (!exists(node))
        findings.push_back({"node", Verdict::bad, node + " is missing",
                            "in a container pass it in (--device /dev/ublk-control); elsewhere "
                            "mount devtmpfs on /dev",
                            Exit::missing});
    else if (::access(node.c_str(), R_OK | W_OK) < 0)
        findings.push_back({"node", Verdict::bad, node + " may not be opened by you",
                            "run as root, or have the node belong to a group of yours",
                            Exit::permission});
    else
        findings.push_back({"node", Verdict::good, node + " can be opened"});
}

// The variable is four bytes of attributes and one that counts.
bool has_secure_boot(const Machine& machine) {
    const auto variable =
        read_file(machine.paths.sys +
                  "/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    return variable && variable->size() == 5 && variable->back() == 1;
}

void check_signature(const Machine& machine, Findings& findings) {
    const std::string lockdown = read_word(machine.paths.sys + "/kernel/security/lockdown");
    const bool locked = lockdown.find("[integrity]") != std::string::npos ||
                        lockdown.find("[confidentiality]") != std::string::npos;
    if (!locked && !has_secure_boot(machine))
        findings.push_back({"signature", Verdict::good, "modules need none: no Secure Boot"});
    else if (has_driver(machine))
        findings.push_back({"signature", Verdict::good,
                            "modules need one (Secure Boot), and the driver is loaded"});
    else
        findings.push_back({"signature", Verdict::doubtful,
                            "modules need one that the machine's owner trusts (Secure Boot)",
                            "mokutil --import /var/lib/dkms/mok.pub, and confirm at the next "
                            "boot"});
}

void check_io_uring(const Machine& machine, Findings& findings) {
    const std::string disabled = read_word(machine.paths.proc + "/sys/kernel/io_uring_disabled");
    const std::string seen =
        disabled.empty() ? "" : fmt::format(" (kernel.io_uring_disabled is {})", disabled);
    if (machine.ring_error == 0 && disabled != "1") {
        findings.push_back({"io_uring", Verdict::good, "works" + seen});
        return;
    }
    if (machine.ring_error == 0) {
        findings.push_back({"io_uring", Verdict::doubtful,
                            "works for root and the group kernel.io_uring_group only" + seen,
                            "sysctl kernel.io_uring_disabled=0, if others are to serve disks"});
        return;
    }
    std::string remedy = "the kernel was built without: use one with CONFIG_IO_URING";
    if (!disabled.empty() && disabled != "0")
        remedy = "sysctl kernel.io_uring_disabled=0";
    else if (machine.ring_error == EPERM || machine.ring_error == EACCES)
        remedy = "a seccomp filter forbids it: let the container have io_uring_setup, "
                 "io_uring_enter and io_uring_register";
    else if (machine.ring_error == ENOMEM)
        remedy = "raise ulimit -l";
    findings.push_back(
        {"io_uring", Verdict::bad,
         fmt::format("io_uring_setup fails: {}{}", ::strerrordesc_np(machine.ring_error), seen),
         remedy, Exit::permission});
}

constexpr rlim_t enough_files = 4096;

// A server lifts its limits itself where it may.
void check_limits(const Machine& machine, Findings& findings) {
    rlimit locked{};
    rlimit files{};
    ::getrlimit(RLIMIT_MEMLOCK, &locked);
    ::getrlimit(RLIMIT_NOFILE, &files);
    const bool may_lock = machine.privileged || locked.rlim_max == RLIM_INFINITY;
    const bool has_files = machine.privileged || files.rlim_max >= enough_files;
    if (!may_lock)
        findings.push_back({"limits", Verdict::doubtful,
                            fmt::format("servers can lock {} bytes of their memory only: they may "
                                        "be swapped out",
                                        locked.rlim_max),
                            "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited; until then "
                            "do not swap to these disks"});
    if (!has_files)
        findings.push_back({"limits", Verdict::doubtful,
                            fmt::format("servers can have {} files only", files.rlim_max),
                            "LimitNOFILE=65536 in the unit, or ulimit -Hn 65536"});
    if (may_lock && has_files)
        findings.push_back({"limits", Verdict::good, "memory can be locked, files are enough"});
}

void check_udev(const Machine& machine, Findings& findings) {
    if (exists(machine.udev + "/control"))
        findings.push_back({"udev", Verdict::good, "runs"});
    else
        findings.push_back({"udev", Verdict::doubtful,
                            "does not run here: disks have no names but /dev/ublkbN, and no owner "
                            "but root",
                            "nothing, in a container; elsewhere systemctl start systemd-udevd"});
}

// Ours counts what users without privileges have; the in-tree one has counted all for some time.
void check_number_of_disks(const Machine& machine, Findings& findings) {
    const std::string parameter = machine.paths.sys + "/module/ublk_drv/parameters/ublks_max";
    const auto most = parse_number(read_word(parameter));
    if (!most)
        return;
    const auto unprivileged = [](const DeviceInfo& info) {
        const auto names = names_of_features(info.features);
        return std::find(names.begin(), names.end(), "UNPRIVILEGED_DEV") != names.end();
    };
    const auto count = static_cast<std::uint64_t>(
        std::count_if(machine.devices.begin(), machine.devices.end(), unprivileged));
    if (count < *most)
        findings.push_back(
            {"number", Verdict::good,
             fmt::format("{} of {} disks of users without privileges", count, *most)});
    else
        findings.push_back({"number", Verdict::doubtful,
                            fmt::format("users without privileges have {} disks, which is all "
                                        "that they may",
                                        count),
                            fmt::format("echo {} > {}", *most * 2, parameter)});
}

std::string advice_without_server(const DeviceInfo& info) {
    return recovery_of(info.features) != Recovery::off
               ? fmt::format("ublkd recover {}, or ublkd del --force {}", info.number, info.number)
               : fmt::format("ublkd del --force {}", info.number);
}

// Whether nothing of the process can be swapped out is not told; that something cannot is.
bool locks_memory(const Machine& machine, pid_t process) {
    const auto status = read_file(fmt::format("{}/{}/status", machine.paths.proc, process));
    const auto at = status ? status->find("VmLck:") : std::string::npos;
    return at != std::string::npos &&
           status->find_first_of("123456789", at) < status->find('\n', at);
}

void check_disk(const Machine& machine, const DeviceInfo& info, Findings& findings) {
    const std::string disk = block_device_path(info.number);
    if (info.state != DeviceState::dead && !server_is_alive(machine.paths, info)) {
        findings.push_back(
            {"disks", Verdict::bad,
             fmt::format("{} has no server: {}", disk,
                         info.state == DeviceState::fail_io ? "its I/O fails" : "its I/O waits"),
             advice_without_server(info), Exit::missing});
        return;
    }
    if (info.state == DeviceState::dead)
        findings.push_back(
            {"disks", Verdict::doubtful,
             fmt::format("device {} was made and never started, or was stopped", info.number),
             fmt::format("ublkd del {}", info.number)});
    for (const std::string& point : find_mounts_of(machine.paths, info.number, info.server))
        if (read_link(fmt::format("{}/{}/ns/mnt", machine.paths.proc, info.server)) !=
            read_link(fmt::format("{}/1/ns/mnt", machine.paths.proc)))
            findings.push_back({"disks", Verdict::bad,
                                fmt::format("server {} keeps {} mounted on {} in its own mount "
                                            "namespace: its end would wait for itself",
                                            info.server, disk, point),
                                fmt::format("nsenter -t {} -m umount {}", info.server, point),
                                Exit::busy});
    if (is_swap(machine.paths, info.number) && !locks_memory(machine, info.server))
        findings.push_back({"disks", Verdict::bad,
                            fmt::format("{} is a swap, and its server {} can be swapped out: to "
                                        "bring it back would wait for itself",
                                        disk, info.server),
                            "swapoff, and serve it with LimitMEMLOCK=infinity", Exit::busy});
}

void check_disks(const Machine& machine, Findings& findings) {
    const auto before = findings.size();
    for (const DeviceInfo& info : machine.devices)
        check_disk(machine, info, findings);
    if (findings.size() == before)
        findings.push_back(
            {"disks", Verdict::good, fmt::format("{}, all served", machine.devices.size())});
}

using Check = void (*)(const Machine&, Findings&);
constexpr std::array<Check, 8> checks{
    check_driver, check_control_node, check_signature,       check_io_uring,
    check_limits, check_udev,         check_number_of_disks, check_disks,
};

int try_ring() {
    io_uring_params params{};
    const UniqueFd ring{static_cast<int>(::syscall(SYS_io_uring_setup, 4U, &params))};
    return ring ? 0 : errno;
}

// The 24th bit of what the process may do.
bool may_lift_limits(const Paths& paths) {
    constexpr unsigned resource = 24;
    const auto status = read_file(paths.proc + "/self/status");
    const auto at = status ? status->find("CapEff:") : std::string::npos;
    if (at == std::string::npos)
        return false;
    return (std::strtoull(status->c_str() + at + std::strlen("CapEff:"), nullptr, 16) >> resource &
            1U) != 0;
}

} // namespace

std::string_view name_of(Verdict verdict) {
    switch (verdict) {
    case Verdict::good:
        return "good";
    case Verdict::doubtful:
        return "doubtful";
    case Verdict::bad:
        return "bad";
    }
    return "";
}

Machine Machine::here(const Paths& paths) {
    Machine machine{paths};
    machine.kernel = kernel_release();
    machine.ring_error = try_ring();
    machine.privileged = may_lift_limits(paths);
    if (auto control = Control::open())
        if (auto list = control->list())
            machine.devices = std::move(list->devices);
    return machine;
}

std::vector<Finding> diagnose(const Machine& machine) {
    Findings findings;
    for (const Check check : checks)
        check(machine, findings);
    return findings;
}

} // namespace ublk::daemon
