#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM to the server of a mounted device that nobody could serve afterwards: it serves on and says
# why. A second one insists: the mount gets errors, never a hang, umount works, and the device and its
# server go.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 32M)
dev=$(add_dev loop file="$image")
server=$(server_pid "$dev")
mkfs.ext4 -q "$dev"
mount_dev "$dev" "$UBLK_TEST_DIR/mnt"
kill -TERM "$server"
wait_until 10 grep -q "the disk is in use" "/run/ublkd/$(dev_id "$dev").log" || fail "it does not say so"
echo data >"$UBLK_TEST_DIR/mnt/file"
sync --file-system "$UBLK_TEST_DIR/mnt" || fail "it does not serve on"
[ "$(ublkd show "$dev" --json | jq -r .state)" = live ] || fail "the disk has gone"
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
