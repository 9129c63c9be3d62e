#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A device whose server died does not keep the module from being unloaded, and goes with it.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

needs_module
for _ in 1 2; do
    dev=$(add_dev ram size=16M)
    kill_server "$dev"
done
pictures=/sys/kernel/debug/ublk
[ "$(find "$pictures" -name "ublkc*" | wc -l)" -eq 2 ] || fail "pictures: $(ls "$pictures")"
unload_module
[ ! -e "$pictures" ] || fail "left: $(find "$pictures")"
[ -z "$(find /dev -name "ublk[bc]*")" ] || fail "left: $(find /dev -name "ublk[bc]*")"
load_module
# What the dead servers left in the state directory must not confuse anybody.
[ "$(ublkd list --json | jq '.devices | length')" -eq 0 ] || fail "devices: $(ublkd list)"
dev=$(add_dev ram size=16M)
del_dev "$dev"
dev=$(add_dev ram size=16M)
second=$(add_dev ram size=16M)
del_dev "$second"
del_dev "$dev"
rm -f /run/ublkd/*
