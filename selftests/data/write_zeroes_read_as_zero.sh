#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Write-zeroes makes a range read as zero and leaves its neighbours, on every target; a zeroed range
# of a file becomes a hole if the caller allows it, and stays allocated if not.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

noise=$(make_noise noise 8)
expect_contents() {
    cmp <(head -c 2M "$noise" && head -c 4M /dev/zero && tail -c 2M "$noise") "$1" ||
        fail "$2: wrong contents"
}
# An unaligned tail of one sector must not be forgotten, either.
expect_sector_zeroed() {
    blkdiscard --zeroout --offset 512 --length 512 "$1"
    cmp <(head -c 512 "$noise" && head -c 512 /dev/zero && tail -c +1025 "$noise" | head -c 7168) \
        <(head -c 8192 "$1") || fail "$2: a single sector is not zeroed"
}

image=$UBLK_TEST_DIR/disk
for target in "ram size=8M" "loop file=$image" "loop file=$image direct=no"; do
    : >"$image"
    cp "$noise" "$image"
    sync "$image"
    # shellcheck disable=SC2086 # words
    dev=$(add_dev $target)
    dd if="$noise" of="$dev" bs=1M conv=fsync status=none
    before=$(stat -c %b "$image")
    blkdiscard --zeroout --offset 2M --length 4M "$dev"
    expect_contents "$dev" "$target: BLKZEROOUT"
    expect_sector_zeroed "$dev" "$target"
    if [[ $target == loop* ]] && [ "$(stat -c %b "$image")" -lt "$before" ]; then
        fail "$target: a range that must stay allocated became a hole"
    fi
    dd if="$noise" of="$dev" bs=1M conv=fsync status=none
    fallocate --punch-hole --offset 2M --length 4M "$dev"
    expect_contents "$dev" "$target: punch hole"
    if [[ $target == loop* ]]; then
        freed=$((before - $(stat -c %b "$image")))
        [ "$freed" -ge $(((4 << 20) / 512)) ] || fail "$target: only $freed sectors were freed"
    fi
    del_dev "$dev"
done
