#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# O_DIRECT from and to memory that is only aligned to 4 bytes, in pieces of one or two blocks, hundreds
# to a request: every byte arrives where it belongs.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

odd=$UBLK_ROOT/build/selftests/data/odd_segments
image=$(make_image disk 8M)
# A target may hand shared memory on to whatever it likes, and that may want whole blocks.
least=4
[ "$UBLK_COPY" != shmem ] || least=512
for target in "ram size=8M" "ram size=8M --max-io 4096" "loop file=$image"; do
    # shellcheck disable=SC2086 # words
    dev=$(add_dev $target)
    alignment=$(($(queue_limit "$dev" dma_alignment) + 1))
    [[ $target != ram* ]] || [ "$alignment" -eq "$least" ] || fail "$dev wants buffers aligned to $alignment"
    "$odd" "$dev" "$alignment" 512 || fail "$target: see above"
    del_dev "$dev"
done
