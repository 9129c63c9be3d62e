#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 3600
# What looks at new disks on a host is not at work in a guest, unless it is asked for.
source "$(dirname "$0")/../fixture.sh"

# Prints the rules of a guest, and the programs that some of them call.
rules_in_guest() {
    "$UBLK_ROOT/scripts/vm" --no-module "$@" -- bash -c '
        ls /usr/lib/udev/rules.d /lib/udev/rules.d /etc/udev/rules.d /usr/local/lib/udev/rules.d 2>/dev/null
        type -P mdadm lvm multipath || :'
}

own=$(rules_in_guest --full-machine --udev own)
for rule in 50-udev-default 60-block 60-persistent-storage; do
    grep -qx "$rule.rules" <<<"$own" || fail "udev lacks $rule: $own"
done
! grep -E 'bcache|lvm|md-raid|multipath|kpartx' <<<"$own" | grep '\.rules$' ||
    fail "the guest looks at disks with what the machine has installed"

full=$(rules_in_guest --full-machine)
for rule in 56-lvm 60-multipath 64-md-raid-assembly 69-bcache 69-lvm; do
    grep -qx "$rule.rules" <<<"$full" || fail "a full machine lacks $rule: $full"
done
for program in lvm mdadm multipath; do
    grep -q "bin/$program\$" <<<"$full" || fail "a full machine lacks $program: $full"
done
