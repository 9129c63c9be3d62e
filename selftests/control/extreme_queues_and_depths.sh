#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Devices with the deepest queues, with more queues than processors, and with a single tag work; what
# is beyond the limits is refused.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# expect_queues DEV QUEUES DEPTH
expect_queues() {
    ublkd show "$1" --json | jq -e ".queues == $2 and .depth == $3" >/dev/null ||
        fail "$1 has other queues: $(ublkd show "$1" --json)"
    [ "$(find "/sys/block/${1##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l)" -eq "$2" ] ||
        fail "the kernel sees other queues of $1"
}
dev=$(add_dev ram size=64M --queues "$(nproc)" --depth 4096 --max-io 4096)
expect_queues "$dev" "$(nproc)" 4096
fio_verify "$dev" --direct=1 --bs=4k --iodepth=1024 --numjobs=2 --thread --size=4M \
    --offset_increment=4M
del_dev "$dev"

dev=$(add_dev ram size=64M --queues 1 --depth 1)
expect_queues "$dev" 1 1
fio_verify "$dev" --direct=1 --bsrange=512-16k --iodepth=16 --size=2M
del_dev "$dev"

# The driver makes no more queues than there are processors.
dev=$(add_dev null --queues 64 --depth 4)
expect_queues "$dev" "$(nproc)" 4
del_dev "$dev"

run_expect 1 ublkd add null --queues 4097
run_expect 1 ublkd add null --depth 4097
run_expect 1 ublkd add null --queues 0
run_expect 1 ublkd add null --depth 0
expect_nothing_left
