#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ublkd add zoned: keys that make no sense, or contradict the file that has the zones, files that are no
# such thing, damaged, in use or not there. One line that says what to do, the documented status, and
# nothing left behind, no file either.
# timeout: 300
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

run_expect 0 ublkd targets zoned
for key in size zone-size zone-capacity conventional max-open max-active file direct; do
    grep -qE "^$key " <<<"$OUT" || fail "targets zoned lacks $key: $OUT"
done

file=$UBLK_TEST_DIR/zones
# The keys do not know where the zones are to be; only a file could be left behind.
expect_zoned_error() {
    local status=$1 pattern=$2
    shift 2
    expect_error "$status" "$pattern" add zoned file="$file" "$@"
}
expect_zoned_error 1 "size=0" size=0
expect_zoned_error 1 "multiple of the zone size" size=100M
expect_zoned_error 1 "power of two" size=6M zone-size=3M
expect_zoned_error 1 "zone-size" size=1M zone-size=x
expect_zoned_error 1 "zone-capacity" size=8M zone-size=1M zone-capacity=1000
expect_zoned_error 1 "conventional" size=8M zone-size=1M conventional=8
expect_zoned_error 1 "max-open" size=8M zone-size=1M max-open=9
expect_zoned_error 1 "max-active" size=8M zone-size=1M max-open=3 max-active=2
expect_zoned_error 1 "block size" size=8M zone-size=1M --block-size 8192
expect_zoned_error 1 "copy" size=8M zone-size=1M --copy driver
expect_zoned_error 1 "colour" size=8M zone-size=1M colour=blue
expect_zoned_error 1 "not flushed goes with its server" size=8M zone-size=1M --recovery queue
expect_error 1 "stores goes with its server" add zoned size=8M zone-size=1M --recovery queue
expect_error 1 "power of two" add zoned size=6M zone-size=3M
expect_error 1 "size is missing" add zoned
expect_error 2 "size=" add zoned file="$file"
expect_error 1 "read-only" add zoned file="$file" size=8M zone-size=1M --read-only
expect_error 2 "check the path" add zoned file="$UBLK_TEST_DIR/none/zones" size=8M zone-size=1M
expect_error 5 "regular files" add zoned file="$UBLK_TEST_DIR" size=8M zone-size=1M
expect_error 5 "regular files" add zoned file=/dev/null size=8M zone-size=1M
expect_error 5 "zones" add zoned file="$(make_image other 8M)" size=8M zone-size=1M
expect_error 5 "zones" add zoned file="$(make_image other 8M)"
[ ! -e "$file" ] || fail "a file was left behind"
! cmp -s "$UBLK_TEST_DIR/other" <(head -c 8M /dev/zero) || other=unchanged
[ "${other:-}" = unchanged ] || fail "a file of others was changed"

dev=$(add_dev zoned file="$file" size=8M zone-size=1M max-active=3)
expect_error 4 "$file" add zoned file="$file"
if has_feature UPDATE_SIZE; then
    for size in 16M 4M auto; do
        expect_error 5 "one size" resize "$dev" "$size"
    done
fi
[ "$(blockdev --getsize64 "$dev")" -eq $((8 << 20)) ] || fail "resize has changed the size"
del_dev "$dev"
expect_error 1 "file has 8388608" add zoned file="$file" size=16M
expect_error 1 "file has 1048576" add zoned file="$file" zone-size=2M
expect_error 1 "file has 3" add zoned file="$file" max-active=4
expect_error 1 "file has 4096" add zoned file="$file" --block-size 512
dev=$(add_dev zoned file="$file" size=8M zone-size=1M max-active=3 --block-size 4096)
del_dev "$dev"

truncate -s 4M "$file"
expect_error 5 "truncate -s 9437184" add zoned file="$file"
truncate -s 9M "$file"
dev=$(add_dev zoned file="$file")
del_dev "$dev"
printf 'x' | dd of="$file" bs=1 seek=40 conv=notrunc status=none
expect_error 5 "restore" add zoned file="$file"
