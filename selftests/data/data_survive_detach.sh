#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What was written to a loop device is in its file after the device was deleted, without any sync
# by the writer, and is there again when the file is attached again.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

noise=$(make_noise noise 8)
for direct in yes no; do
    image=$(make_image "disk-$direct" 8M)
    dev=$(add_dev loop file="$image" direct="$direct")
    dd if="$noise" of="$dev" bs=64k status=none
    del_dev "$dev"
    cmp "$noise" "$image" || fail "direct=$direct: the file lacks what was written"
    dev=$(add_dev loop file="$image" direct="$direct")
    cmp "$noise" "$dev" || fail "direct=$direct: the device shows something else"
    del_dev "$dev"
done
