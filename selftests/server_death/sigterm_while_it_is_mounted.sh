#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM to the server of a mounted device: the mount gets errors, never a hang, umount works, and
# the device and its server go.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 32M)
dev=$(add_dev loop file="$image")
server=$(server_pid "$dev")
mkfs.ext4 -q "$dev"
mount_dev "$dev" "$UBLK_TEST_DIR/mnt"
echo data >"$UBLK_TEST_DIR/mnt/file"
kill -TERM "$server"
disk_is_gone() {
    [ ! -e "/sys/block/${dev##*/}" ]
}
wait_until 10 disk_is_gone || fail "the disk stays"
umount "$UBLK_TEST_DIR/mnt" || fail "it cannot be unmounted"
wait_until 20 process_is_gone "$server" || fail "the server does not end"
if dev_exists "$dev"; then
    del_dev "$dev"
fi
expect_nothing_left
