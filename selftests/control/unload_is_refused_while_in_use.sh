#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The module cannot be unloaded while a server has a device or a program has a disk open, and can be
# as soon as they are gone; loaded again it works.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

needs_module
dev=$(add_dev ram size=16M)
! rmmod ublk_drv 2>/dev/null || fail "unloaded under a server"
exec {open}<"$dev"
kill_server "$dev"
! rmmod ublk_drv 2>/dev/null || fail "unloaded under an open disk"
exec {open}<&-
del_dev "$dev"
unload_module
expect_nothing_left
[ ! -e /dev/ublk-control ] || fail "/dev/ublk-control outlives the module"
load_module
wait_until 10 test -c /dev/ublk-control || fail "no /dev/ublk-control"
dev=$(add_dev ram size=16M)
dd if="$dev" of=/dev/null bs=1M iflag=direct status=none
del_dev "$dev"
