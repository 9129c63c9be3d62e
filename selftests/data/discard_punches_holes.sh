#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A discarded range of a loop device is a hole in its file and reads as zeroes; its neighbours stay.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

noise=$(make_noise noise 16)
for direct in yes no; do
    image=$UBLK_TEST_DIR/disk-$direct
    cp "$noise" "$image"
    sync "$image"
    dev=$(add_dev loop file="$image" direct="$direct")
    before=$(stat -c %b "$image")
    blkdiscard --offset 4M --length 8M "$dev"
    freed=$((before - $(stat -c %b "$image")))
    [ "$freed" -ge $(((8 << 20) / 512)) ] || fail "direct=$direct: only $freed sectors were freed"
    cmp <(head -c 4M "$noise" && head -c 8M /dev/zero && tail -c 4M "$noise") "$dev" ||
        fail "direct=$direct: wrong contents after the discard"
    del_dev "$dev"
done
