#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A device whose server died does not keep the module from being unloaded, and goes with it.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

for _ in 1 2; do
    dev=$(add_dev ram size=16M)
    kill_server "$dev"
done
unload_module
[ -z "$(ls -A /dev/ublk[bc]* 2>/dev/null)" ] || fail "left: $(ls /dev/ublk*)"
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
