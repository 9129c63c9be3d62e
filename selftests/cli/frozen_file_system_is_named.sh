#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 180
# The backing lies on a file system that is frozen: a verb that would have to wait for it says so within
# seconds, names it and changes nothing, then or later; the disk is served and can be deleted.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

truncate -s 128M "$UBLK_TEST_DIR/below"
mkfs.ext4 -q "$UBLK_TEST_DIR/below"
modprobe loop
mkdir "$UBLK_TEST_DIR/cold"
mount -o loop "$UBLK_TEST_DIR/below" "$UBLK_TEST_DIR/cold"
on_exit umount "$UBLK_TEST_DIR/cold"
truncate -s 16M "$UBLK_TEST_DIR/cold/file"
dev=$(add_dev loop file="$UBLK_TEST_DIR/cold/file")
require_feature UPDATE_SIZE

fsfreeze -f "$UBLK_TEST_DIR/cold"
on_exit thaw
thaw() { fsfreeze -u "$UBLK_TEST_DIR/cold" 2>/dev/null || :; }
start=$EPOCHSECONDS
run_expect 7 ublkd resize "$dev" 32M
echo "# $ERR"
[[ $ERR == *frozen*"fsfreeze -u $UBLK_TEST_DIR/cold"* ]] || fail "it does not say what it waits for: $ERR"
[ $((EPOCHSECONDS - start)) -lt 60 ] || fail "it took $((EPOCHSECONDS - start)) s"
# The server is in command: it answers, and reads.
run_expect 4 ublkd resize "$dev" 48M
dd if="$dev" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "it serves no more"
[ "$(blockdev --getsize64 "$dev")" -eq $((16 << 20)) ] || fail "the size has changed"

thaw
resized() { ublkd resize "$dev" 64M >/dev/null 2>&1; }
wait_until 20 resized || fail "it cannot be resized any more"
[ "$(blockdev --getsize64 "$dev")" -eq $((64 << 20)) ] || fail "the size has not changed"

fsfreeze -f "$UBLK_TEST_DIR/cold"
del_dev "$dev"
thaw
