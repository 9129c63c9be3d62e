#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A number is free as soon as del returns; without a wish the lowest free one is taken, and the number
# that was asked for is the one that is given.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

for _ in {1..10}; do
    dev=$(add_dev null --number 3)
    [ "$dev" = /dev/ublkb3 ] || fail "asked for 3, got $dev"
    del_dev "$dev"
done
first=$(add_dev null)
second=$(add_dev null)
third=$(add_dev null)
[ "$first $second $third" = "/dev/ublkb0 /dev/ublkb1 /dev/ublkb2" ] ||
    fail "unexpected numbers: $first $second $third"
del_dev "$second"
[ "$(add_dev null)" = "$second" ] || fail "the lowest free number is not used"
high=$(add_dev null --number 100000)
[ "$high" = /dev/ublkb100000 ] || fail "asked for 100000, got $high"
dd if="$high" of=/dev/null bs=4k count=1 iflag=direct status=none
ublkd del "$first" ublkb1 2 "$high" || fail "del of several devices"
expect_nothing_left
