#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file that is cut short behind the server's back gives I/O errors or zeroes, never a hang or a dead
# server, and the part that is left can be used.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

noise=$(make_noise noise 8)
for direct in yes no; do
    image=$UBLK_TEST_DIR/disk-$direct
    cp "$noise" "$image"
    dev=$(add_dev loop file="$image" direct="$direct")
    truncate -s 4M "$image"
    ! dd if="$dev" of=/dev/null bs=64k skip=$((6 << 4)) iflag=direct status=none ||
        fail "direct=$direct: data that is not there can be read"
    cmp <(head -c 4M "$noise") <(dd if="$dev" bs=1M count=4 iflag=direct status=none) ||
        fail "direct=$direct: the rest cannot be read"
    kill -0 "$(server_pid "$dev")" || fail "direct=$direct: the server died"
    del_dev "$dev"
done
