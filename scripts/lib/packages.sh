# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The Debian packages each part of the project needs on the machine itself.

# The ceph-... are for the unit tests of the target rbd, which make a cluster.
# shellcheck disable=SC2034 # scripts/setup looks them up by name
PACKAGES_build=(build-essential bc cmake ninja-build pkg-config python3 clang
    linux-headers-amd64 linux-headers-6.12-amd64
    liburing-dev libbpf-dev libfmt-dev libcli11-dev nlohmann-json3-dev libtomlplusplus-dev
    libmount-dev libudev-dev libnbd-dev librbd-dev libgtest-dev libgmock-dev libbenchmark-dev
    nbdkit qemu-utils gnutls-bin ceph-mon ceph-osd ceph-common)

# What runs in the guest comes from the machine too, its root file system being the guest's.
# shellcheck disable=SC2034
PACKAGES_vm=(busybox-static cpio kmod udev xz-utils zstd e2fsprogs util-linux iproute2 procps
    fio fdisk jq strace bpftrace xfsprogs btrfs-progs dmsetup zsh fish
    nbdkit nbd-client)

# shellcheck disable=SC2034
PACKAGES_toolchain=(kmod util-linux xz-utils zstd)

# shellcheck disable=SC2034
PACKAGES_check=(clang-format clang-tidy sparse shellcheck spin git patch perl python3 python3-docutils
    valgrind)

# shellcheck disable=SC2034
PACKAGES_upstream=(build-essential fio fdisk e2fsprogs util-linux udev unifdef patch)

# For building Debian packages, and for looking at what came of it.
# shellcheck disable=SC2034
PACKAGES_packages=(build-essential cmake ninja-build pkg-config python3 debhelper dh-dkms dpkg-dev
    lintian man-db mmdebstrap liburing-dev libfmt-dev libcli11-dev nlohmann-json3-dev libmount-dev
    libudev-dev libnbd-dev librbd-dev)

# For building a kernel.
# shellcheck disable=SC2034
PACKAGES_debug=(build-essential bc bison flex libelf-dev kmod xz-utils)
