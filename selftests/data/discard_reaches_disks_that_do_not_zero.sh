#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that discards, but does not zero by that (as thin pools), is discarded all the same, and
# zeroes are written to it.
# timeout: 180
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# Discards 8M in the middle and writes zeroes behind them; the rest keeps its data.
discard_and_zero() {
    local dev=$1 noise
    noise=$(make_noise "noise-${dev##*/}" 32)
    dd if="$noise" of="$dev" bs=1M oflag=direct status=none
    [ "$(queue_limit "$dev" discard_max_bytes)" -gt 0 ] || fail "$dev has no discard"
    blkdiscard --offset 8M --length 8M "$dev" || fail "discard fails"
    blkdiscard --zeroout --offset 16M --length 8M "$dev" || fail "zeroing fails"
    sync "$dev"
    cmp -n $((8 << 20)) "$noise" "$dev" || fail "data before the discard are gone"
    cmp -i $((24 << 20)) "$noise" "$dev" || fail "data behind the zeroes are gone"
    cmp <(head -c 8M /dev/zero) <(dd if="$dev" bs=1M skip=16 count=8 iflag=direct status=none) ||
        fail "not zeroed"
}

below=$(make_nullb 0 size=32 memory_backed=1 discard=1)
echo "# below: write_zeroes_max_bytes $(queue_limit "$below" write_zeroes_max_bytes)"
dev=$(add_dev loop file="$below" --queues 2)
discard_and_zero "$dev"
cmp <(head -c 8M /dev/zero) <(dd if="$below" bs=1M skip=8 count=8 iflag=direct status=none) ||
    fail "the disk below was not discarded"
del_dev "$dev"

require_program dmsetup
modprobe dm-thin-pool || skip "no dm-thin-pool"
meta=$(make_loop "$(make_image meta 8M)")
pool=$(make_loop "$(make_image pool 64M)")
dmsetup create ublk-pool --noudevsync --noudevrules --table "0 131072 thin-pool $meta $pool 128 0"
on_exit dmsetup remove --noudevsync --retry ublk-pool
number_of() {
    dmsetup info --columns --noheadings --separator : -o major,minor "$1"
}
dmsetup message ublk-pool 0 "create_thin 0"
dmsetup create ublk-thin --noudevsync --noudevrules --table "0 65536 thin $(number_of ublk-pool) 0"
on_exit dmsetup remove --noudevsync --retry ublk-thin
thin=/dev/dm-$(number_of ublk-thin | cut -d : -f 2)
wait_until 10 test -b "$thin" || fail "no thin volume"
used() {
    dmsetup status ublk-pool | awk '{ split($6, n, "/"); print n[1] }'
}
dev=$(add_dev loop file="$thin")
discard_and_zero "$dev"
full=$(used)
blkdiscard "$dev"
sync "$dev"
[ "$(used)" -lt $((full - 200)) ] || fail "the pool still has $(used) of $full blocks in use"
del_dev "$dev"
