#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The server of a mounted ext4 dies under load: the load ends, umount works, del works, and the file
# system is repaired by its journal when the file is attached again.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 64M)
mnt=$UBLK_TEST_DIR/mnt
dev=$(add_dev loop file="$image" --queues 2)
mkfs.ext4 -q "$dev"
mount_dev "$dev" "$mnt"
echo before >"$mnt/kept"
sync "$mnt/kept"
fio --directory="$mnt" --name=load --ioengine=psync --rw=randwrite --bsrange=1k-64k --size=8M \
    --fsync=8 --time_based --runtime=60 --eta=never --numjobs=2 --thread \
    >"$UBLK_TEST_DIR/fio.log" 2>&1 &
load=$!
wait_until 30 requests_done_at_least "$dev" 300 || fail "fio does not start"
kill_server "$dev"
finishes_within 5 "$load" || fail "fio still runs 5 s after the kill"
[ "$STATUS" -ne 0 ] || fail "fio saw no error"
run_expect 4 ublkd del "$dev"
umount "$mnt" || fail "it cannot be unmounted"
del_dev "$dev"

dev=$(add_dev loop file="$image")
mount_dev "$dev" "$mnt"
[ "$(cat "$mnt/kept")" = before ] || fail "a synced file is lost"
umount "$mnt"
e2fsck -f -n "$dev" || fail "e2fsck finds errors after the journal was replayed"
del_dev "$dev"
