#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file on a file system without O_DIRECT is served through the page cache, and the log says so.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

mkdir "$UBLK_TEST_DIR/tmpfs"
mount -t tmpfs tmpfs "$UBLK_TEST_DIR/tmpfs"
on_exit umount "$UBLK_TEST_DIR/tmpfs"
image=$UBLK_TEST_DIR/tmpfs/disk
truncate -s 16M "$image"
if dd if="$image" of=/dev/null bs=4k count=1 iflag=direct status=none; then
    echo "# this kernel's tmpfs has O_DIRECT: no fallback to see"
    dev=$(add_dev loop file="$image")
else
    dev=$(add_dev loop file="$image" 2>"$UBLK_TEST_DIR/log")
    grep -q "$image" "$UBLK_TEST_DIR/log" /run/ublkd/*.log || fail "not a word about it"
fi
fio_verify "$dev" --direct=1 --bsrange=512-64k --size=8M
del_dev "$dev"
