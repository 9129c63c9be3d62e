#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGTERM to the server of a disk that is mounted and can be recovered: the server exits, all waits,
# and nothing is lost, neither what was dirty then nor what is written before the next server comes.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature QUIESCE

is_waiting() {
    [ "$(ublkd show "$dev" --json | jq -r .state)" = quiesced ]
}

image=$(make_image disk 64M)
for kind in queue reissue; do
    dev=$(add_dev loop file="$image" --recovery "$kind")
    mkfs.ext4 -q -F "$dev"
    mount_dev "$dev" "$UBLK_TEST_DIR/mnt"
    noise=$(make_noise noise 8)
    cp "$noise" "$UBLK_TEST_DIR/mnt/dirty"
    server=$(server_pid "$dev")
    kill -TERM "$server"
    wait_until 20 process_is_gone "$server" || fail "$kind: the server does not end"
    wait_until 20 is_waiting || fail "$kind: it does not wait"
    { cp "$noise" "$UBLK_TEST_DIR/mnt/later" && sync --file-system "$UBLK_TEST_DIR/mnt"; } &
    writer=$!
    ublkd recover "$dev" || fail "$kind: recover"
    finishes_within 60 "$writer" || fail "$kind: the writer hangs"
    [ "$STATUS" -eq 0 ] || fail "$kind: the writer saw an error"
    umount "$UBLK_TEST_DIR/mnt"
    e2fsck -fn "$dev" || fail "$kind: the file system is damaged"
    mount "$dev" "$UBLK_TEST_DIR/mnt"
    for file in dirty later; do
        cmp "$noise" "$UBLK_TEST_DIR/mnt/$file" || fail "$kind: $file has changed"
    done
    umount "$UBLK_TEST_DIR/mnt"

    # Nobody uses it now.
    server=$(server_pid "$dev")
    kill -TERM "$server"
    wait_until 20 process_is_gone "$server" || fail "$kind: the server stays without users"
    expect_nothing_left
done
