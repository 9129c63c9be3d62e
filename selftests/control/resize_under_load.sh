#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk grows, shrinks and grows again while fio writes and verifies on it: fio sees no error, the
# kernel and show see every new size, what is new can be used at once, and what lay behind a new end is
# there again when the disk grows. A file gets as long as it has to be, and never shorter.
# timeout: 300
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature UPDATE_SIZE

# The last 64 KiB of the disk: last_blocks read|write FILE
last_blocks() {
    local at=$(($(blockdev --getsize64 "$dev") / 65536 - 1))
    case $1 in
    write) dd if="$2" of="$dev" bs=64k count=1 seek="$at" oflag=direct status=none ;;
    read) dd if="$dev" of="$2" bs=64k count=1 skip="$at" iflag=direct status=none ;;
    esac || fail "cannot $1 the end of the disk"
}
expect_size() {
    local size=$(($1 << 20))
    [ "$(blockdev --getsize64 "$dev")" -eq "$size" ] || fail "the disk does not have $1 MiB"
    [ "$(($(<"/sys/block/${dev##*/}/size") * 512))" -eq "$size" ] || fail "sysfs does not say $1 MiB"
    [ "$(ublkd show "$dev" --json | jq .size)" -eq "$size" ] || fail "show does not say $1 MiB"
}
file_has() {
    [ "$(stat -c %s "$image")" -eq $(($1 << 20)) ] ||
        fail "the file has $(stat -c %s "$image") bytes"
}

image=$(make_image disk 64M)
noise=$(make_noise noise 1)
truncate -s 64K "$noise"
dev=$(add_dev loop file="$image" --queues 2)
fio_verify_on "$dev" --direct=1 --bsrange=512-64k --size=8M --numjobs=2 --offset_increment=16M &
load=$!
resized() {
    local before
    before=$(requests_done "$dev")
    run_expect 0 ublkd resize "$dev" "$@"
    wait_until 60 requests_done_at_least "$dev" $((before + 100)) || fail "fio stands still"
}
wait_until 60 requests_done_at_least "$dev" 100 || fail "fio does not start"

for size in 96 128 160; do
    resized "${size}M"
    [ "$OUT" = "$dev: ${size}M" ] || fail "unexpected output: $OUT"
    expect_size "$size"
    file_has "$size"
    last_blocks write "$noise"
    last_blocks read "$UBLK_TEST_DIR/got"
    cmp "$noise" "$UBLK_TEST_DIR/got" || fail "the end of $size MiB does not keep its data"
done

resized 64M --shrink --json
jq -e --arg dev "$dev" '.device == $dev and .size == 67108864 and .old_size == 167772160' \
    <<<"$OUT" >/dev/null || fail "unexpected: $OUT"
expect_size 64
file_has 160
[ "$(dd if="$dev" bs=64k count=1 skip=1024 iflag=direct status=none | wc -c)" -eq 0 ] ||
    fail "there is something behind the new end"
resized 160M
expect_size 160
last_blocks read "$UBLK_TEST_DIR/got"
cmp "$noise" "$UBLK_TEST_DIR/got" || fail "what lay behind the end is lost"

truncate -s 200M "$image"
expect_size 160
resized auto
expect_size 200
last_blocks write "$noise"
resized auto
expect_size 200

fio_verify_ends "$load"
del_dev "$dev"
tail -c 64K "$image" | cmp - "$noise" || fail "the file lacks the last block"
expect_nothing_left
