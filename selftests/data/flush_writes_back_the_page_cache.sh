#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With direct=no an fsync on the device does not end before the data are on the disk below the file.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

below=$(make_nullb 0 size=64 memory_backed=1)
dev=$(add_dev loop file="$below" direct=no)
noise=$(make_noise noise 4)
dd if="$noise" of="$dev" bs=1M oflag=direct conv=fsync status=none
# Only what the disk itself has: not what is in the page cache.
cmp "$noise" <(dd if="$below" bs=1M count=4 iflag=direct status=none) ||
    fail "after fsync the disk below lacks the data"
del_dev "$dev"
