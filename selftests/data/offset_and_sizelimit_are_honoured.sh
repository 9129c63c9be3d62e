#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With offset and sizelimit a loop device shows that part of its file and never touches the rest.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

noise=$(make_noise noise 8)
image=$UBLK_TEST_DIR/disk
cp "$noise" "$image"
dev=$(add_dev loop file="$image" offset=1M sizelimit=2M)
[ "$(blockdev --getsize64 "$dev")" -eq $((2 << 20)) ] || fail "the size is not the limit"
cmp <(tail -c +$(((1 << 20) + 1)) "$noise" | head -c 2M) "$dev" || fail "it shows another part"
dd if=/dev/zero of="$dev" bs=256k oflag=direct status=none && fail "it can be written past its end"
blkdiscard "$dev"
fio_verify "$dev" --direct=1 --bsrange=512-64k --size=2M
del_dev "$dev"
cmp <(head -c 1M "$noise") <(head -c 1M "$image") || fail "it wrote before the offset"
cmp <(tail -c 5M "$noise") <(tail -c 5M "$image") || fail "it wrote behind the limit"

# Without a limit it ends with the file.
dev=$(add_dev loop file="$image" offset=5M)
[ "$(blockdev --getsize64 "$dev")" -eq $((3 << 20)) ] || fail "the size is not the rest"
cmp <(tail -c 3M "$image") "$dev" || fail "it shows another part"
del_dev "$dev"
