#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ext4 on a loop device passes a fio verify, direct and buffered; e2fsck finds nothing, before and
# after the device was detached and attached again, and the files are the same then.
# modes: 512 4096 512+user 512+zero
# timeout: 180
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 128M)
attach() {
    add_dev loop file="$image" --block-size "$MODE" --queues 2
}
check() {
    e2fsck -f -n "$1" || fail "e2fsck finds errors on $1"
}

dev=$(attach)
expect_limit "$dev" logical_block_size "$MODE"
mkfs.ext4 -q "$dev"
mount_dev "$dev" "$UBLK_TEST_DIR/mnt"
fio --directory="$UBLK_TEST_DIR/mnt" --ioengine=libaio --iodepth=8 --rw=randwrite --size=12M \
    --bsrange="$MODE-64k" --verify=crc32c --verify_fatal=1 --do_verify=1 --fsync=50 --eta=never \
    --group_reporting --name=direct --direct=1 --name=buffered --direct=0 ||
    fail "fio does not verify on ext4"
(cd "$UBLK_TEST_DIR/mnt" && sha256sum direct* buffered*) >"$UBLK_TEST_DIR/sums"
umount "$UBLK_TEST_DIR/mnt"
check "$dev"
del_dev "$dev"

dev=$(attach)
check "$dev"
mount_dev "$dev" "$UBLK_TEST_DIR/mnt"
(cd "$UBLK_TEST_DIR/mnt" && sha256sum --quiet -c "$UBLK_TEST_DIR/sums") || fail "files changed"
umount "$UBLK_TEST_DIR/mnt"
del_dev "$dev"
