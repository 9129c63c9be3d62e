#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An overlay over tmpfs lets a file be opened for direct I/O and then fails all of it: such a file is
# served through the page cache, and ublkd show says so. As a file of an overlay it is also one in a
# layer.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

top=$UBLK_TEST_DIR/top
mkdir "$UBLK_TEST_DIR/tmpfs" "$UBLK_TEST_DIR/lower" "$top"
mount -t tmpfs tmpfs "$UBLK_TEST_DIR/tmpfs"
on_exit umount "$UBLK_TEST_DIR/tmpfs"
mkdir "$UBLK_TEST_DIR/tmpfs/upper" "$UBLK_TEST_DIR/tmpfs/work"
mount -t overlay -o "lowerdir=$UBLK_TEST_DIR/lower,upperdir=$UBLK_TEST_DIR/tmpfs/upper,workdir=$UBLK_TEST_DIR/tmpfs/work" \
    overlay "$top"
on_exit umount "$top"
truncate -s 16M "$top/disk"
dev=$(add_dev loop file="$top/disk")
fio_verify "$dev" --direct=1 --bsrange=512-64k --size=8M
access=$(ublkd show "$dev" --json | jq -r .backing.access)
if dd if="$top/disk" of=/dev/null bs=4k count=1 iflag=direct status=none; then
    [ "$access" = direct ] || fail "access is $access"
else
    [ "$access" = buffered ] || fail "access is $access"
    ublkd show "$dev" --json | jq -e '.backing.remarks[] | contains("page cache")' >/dev/null ||
        fail "show does not say why"
fi
run_expect 4 ublkd add loop file="$UBLK_TEST_DIR/tmpfs/upper/disk"
[[ $ERR == *"$dev"* ]] || fail "it does not name $dev: $ERR"
del_dev "$dev"
