#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 200 times add, start, stop and del: no slab cache, no per-CPU or vmalloc memory grows with the number
# of devices, and no file stays behind.
# timeout: 400
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/leaks.sh"

cycles=200
warm_up=10

# One device with two queues, gone again. The search for its partitions is its I/O.
cycle() {
    ublkd add null size=64M --queues 2 --depth 16 --number 0 >"$UBLK_TEST_DIR/dev"
    ublkd del 0
}

for ((i = 0; i < warm_up; i++)); do cycle; done
remember_memory
start=$(now_ms)
for ((i = 0; i < cycles; i++)); do cycle; done
echo "# $cycles cycles took $(($(now_ms) - start)) ms"
expect_no_leak "$cycles"
