#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Data, write pointers, conditions and limits of a zoned disk in a file are there again when it was
# deleted and is attached by the file's name alone, also on a copy of the file; open zones are closed.
# modes: file+user
# timeout: 180
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/zoned.sh"
require_program blkzone

noise=$(make_noise noise 1)
head -c 256K "$noise" >"$UBLK_TEST_DIR/256K"
some=$UBLK_TEST_DIR/256K
dev=$(add_zoned size=8M zone-size=1M zone-capacity=512K conventional=1 max-open=2 max-active=5)
write_at "$dev" "$some" 512
write_at "$dev" "$some" 1024
zone_do open "$dev" 2
write_at "$dev" "$some" 3072
write_at "$dev" "$some" 3328
write_at "$dev" "$some" 4096
zone_do finish "$dev" 4
write_at "$dev" "$some" 5120
zone_do reset "$dev" 5

check() {
    expect_limit "$1" nr_zones 8
    expect_limit "$1" max_open_zones 2
    expect_limit "$1" max_active_zones 5
    zone_is "$1" 0 nw 0
    zone_is "$1" 1 cl 256
    zone_is "$1" 2 em 0
    zone_is "$1" 3 fu 1024
    zone_is "$1" 4 fu 1024
    zone_is "$1" 5 em 0
    same_at "$1" "$some" 512
    same_at "$1" "$some" 1024
    same_at "$1" "$some" 3072
    same_at "$1" "$some" 3328
    same_at "$1" "$some" 4096
    zeroes_at "$1" 4352 768
    zeroes_at "$1" 5120 1024
}
del_dev "$dev"
cp --sparse=always "$UBLK_TEST_DIR/zones" "$UBLK_TEST_DIR/copy"
dev=$(add_zoned)
check "$dev"
del_dev "$dev"
dev=$(add_zoned --read-only)
check "$dev"
! write_at "$dev" "$some" 1280 2>/dev/null || fail "a read-only disk was written"
! zone_do reset "$dev" 1 2>/dev/null || fail "a zone of a read-only disk was reset"
del_dev "$dev"
dev=$(add_dev zoned file="$UBLK_TEST_DIR/copy" direct=no)
check "$dev"
write_at "$dev" "$some" 1280
zone_is "$dev" 1 fu 1024
