#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A loop device on a disk tells the same geometry as the disk; on a file that of the file system,
# and what the command line asks for instead.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# Which of the disk's properties the device must have: same NAME...
same() {
    local name
    for name in "$@"; do
        expect_limit "$dev" "$name" "$(queue_limit "$below" "$name")"
    done
}
for block in 512 4096; do
    below=$(make_nullb $((block / 4096)) size=64 memory_backed=1 cache_size=1 blocksize="$block")
    dev=$(add_dev loop file="$below")
    same logical_block_size physical_block_size minimum_io_size rotational write_cache fua \
        dma_alignment
    [ "$(blockdev --getsize64 "$dev")" -eq $((64 << 20)) ] || fail "wrong size on $block"
    del_dev "$dev"

    below=$(make_loop "$(make_image "below-$block" 64M)" --sector-size "$block")
    dev=$(add_dev loop file="$below")
    same logical_block_size physical_block_size rotational write_cache discard_granularity
    [ "$(queue_limit "$dev" discard_max_bytes)" -gt 0 ] || fail "no discard"
    [ "$(queue_limit "$dev" write_zeroes_max_bytes)" -gt 0 ] || fail "no write-zeroes"
    del_dev "$dev"
done

image=$(make_image disk 64M)
dev=$(add_dev loop file="$image")
expect_limit "$dev" logical_block_size 512
expect_limit "$dev" physical_block_size "$(stat -f -c %S "$image")"
expect_limit "$dev" discard_granularity "$(stat -f -c %S "$image")"
expect_limit "$dev" write_cache "write back"
del_dev "$dev"

dev=$(add_dev ram size=64M --block-size 1024 --physical-block-size 2K --max-io 64K)
expect_limit "$dev" logical_block_size 1024
expect_limit "$dev" physical_block_size 2048
expect_limit "$dev" max_hw_sectors_kb 64
del_dev "$dev"
dev=$(add_dev loop file="$image" --block-size 4096 --max-io 1M)
expect_limit "$dev" logical_block_size 4096
expect_limit "$dev" max_hw_sectors_kb 1024
del_dev "$dev"
