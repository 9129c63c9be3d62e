#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ublkd add --filter: what stands in front of a target does what it says, show tells of it, and a server
# that recovers the disk has it, too. A filter that there is not, or one that is told nonsense, makes none.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature QUIESCE

expect_error 2 "filters: .*delay" add null --filter delya
expect_error 1 "read=fast" add null --filter delay:read=fast
expect_error 1 "offset: " add null size=2M --filter offset:start=3M

image=$(make_image disk 8M)
printf behind | dd of="$image" bs=1M seek=1 conv=notrunc status=none
dev=$(add_dev loop file="$image" --recovery queue --filter readonly --filter offset:start=1M)
has_its_filters() {
    local size start names
    size=$(blockdev --getsize64 "$dev")
    [ "$size" -eq $((7 << 20)) ] || fail "$1: it has $size bytes"
    [ "$(blockdev --getro "$dev")" -eq 1 ] || fail "$1: it can be written"
    start=$(dd if="$dev" bs=4096 count=1 iflag=direct status=none | head -c 6 | tr -d '\0')
    [ "$start" = behind ] || fail "$1: it begins elsewhere: $start"
    names=$(ublkd show "$dev" --json | jq -c '[.filters[].name]')
    [ "$names" = '["readonly","offset"]' ] || fail "$1: show tells of $names"
}
has_its_filters added
run_expect 0 ublkd show "$dev"
drawn=$(sed -n '/^stack /,/^[^s ]/{s/^stack//;s/^ *//;p}' <<<"$OUT" | head -n 3)
[ "$drawn" = "readonly
offset start=1M
loop file=$image direct=yes" ] || fail "show draws: $drawn"
run_expect 0 ublkd quiesce "$dev"
run_expect 0 ublkd recover "$dev"
has_its_filters recovered
del_dev "$dev"

dev=$(add_dev ram size=8M --filter error:op=read,from=1M,to=2M)
dd if="$dev" of=/dev/null bs=64k count=1 iflag=direct status=none || fail "what is to work fails"
! dd if="$dev" of=/dev/null bs=64k count=1 skip=16 iflag=direct status=none 2>&1 ||
    fail "what is to fail works"
del_dev "$dev"
expect_nothing_left
