#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# Deleting a disk that holds a volume group: del names group and volume, and what gets rid of them. By
# force the disk goes, and del says what stays without it.
source "$(dirname "$0")/../lib.sh"

require_program dmsetup
modprobe dm_mod
dev=$(add_dev ram size=64M)

# What LVM tells the device mapper, where LVM itself is not installed.
make_volume() {
    if [ "${UBLK_FULL_MACHINE:-no}" = yes ]; then
        pvcreate --quiet "$dev" && vgcreate --quiet guest-vg "$dev" &&
            lvcreate --quiet --yes --wipesignatures n --zero n --extents 4 --name root guest-vg
    else
        dmsetup create guest--vg-root --uuid LVM-$$ --table "0 8192 linear $dev 0"
    fi
}
make_volume || fail "no logical volume"
on_exit remove_volume
remove_volume() {
    ! dmsetup info guest--vg-root >/dev/null 2>&1 || dmsetup remove --force --retry guest--vg-root
}
run_expect 4 ublkd del "$dev"
[[ $ERR == *"logical volume guest-vg/root"* ]] || fail "it does not name the volume: $ERR"
[[ $ERR == *"vgchange -an guest-vg"* ]] || fail "it does not say what helps: $ERR"
[ "$(wc -l <<<"$ERR")" -eq 1 ] || fail "not one line: $ERR"

run_expect 0 ublkd del --force "$dev"
[[ $ERR == *"logical volume guest-vg/root"*"stays without it"* ]] || fail "it keeps silent: $ERR"
! dev_exists "$dev" || fail "$dev is still there"
remove_volume
