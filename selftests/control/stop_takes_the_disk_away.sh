#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# stop --safe leaves a disk that is used alone, and says by whom; stop takes it away from its users, who
# get errors. A server of ours deletes its device then; one of another program decides itself.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature SAFE_STOP_DEV

dev=$(add_dev ram size=16M)
exec {open}<"$dev"
run_expect 4 ublkd stop --safe "$dev"
[[ $ERR == *"open in process $$"* && $(wc -l <<<"$ERR") -eq 1 ]] || fail "unexpected: $ERR"
dd if="$dev" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "it serves no more"
run_expect 0 ublkd stop "$dev"
# Not the first blocks, which the page cache may still have.
! dd of=/dev/null bs=4k skip=1280 count=1 status=none <&"$open" || fail "a stopped disk can be read"
exec {open}<&-
expect_nothing_left

dev=$(add_dev ram size=16M)
mkfs.ext4 -q "$dev"
mount_dev "$dev" "$UBLK_TEST_DIR/mnt"
run_expect 4 ublkd stop --safe "$dev"
[[ $ERR == *"mounted on $UBLK_TEST_DIR/mnt"* ]] || fail "unexpected: $ERR"
umount "$UBLK_TEST_DIR/mnt"
run_expect 0 ublkd stop --safe "$dev" --json
jq -e --arg dev "$dev" '.device == $dev' <<<"$OUT" >/dev/null || fail "unexpected: $OUT"
expect_nothing_left

# Requests in flight are finished first.
image=$(make_image disk 64M)
dev=$(add_dev loop file="$image" --recovery queue)
fio --name=busy --filename="$dev" --ioengine=libaio --iodepth=16 --rw=randwrite --bs=4k --size=32M \
    --time_based --runtime=60 --direct=1 >"$UBLK_TEST_DIR/fio.log" 2>&1 &
load=$!
wait_until 60 requests_done_at_least "$dev" 100 || fail "fio does not start"
run_expect 0 ublkd stop "$dev"
finishes_within 30 "$load" || fail "fio hangs"
[ "$STATUS" -ne 0 ] || fail "fio saw nothing"
expect_nothing_left

hello=$(find "$UBLK_ROOT/build" -name hello_target -type f -perm -u+x | head -n 1)
"$hello" >"$UBLK_TEST_DIR/out" &
server=$!
wait_until 20 grep -q '^/dev/ublkb' "$UBLK_TEST_DIR/out" || fail "hello_target does not start"
run_expect 0 ublkd stop --safe "$(<"$UBLK_TEST_DIR/out")"
finishes_within 20 "$server" || fail "the foreign server does not end"
expect_nothing_left
