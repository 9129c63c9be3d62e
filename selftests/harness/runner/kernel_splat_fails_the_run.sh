#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# Whatever the kernel says when it is in trouble fails the test during which it says so.
source "$(dirname "$0")/../fixture.sh"

log=$UBLK_TEST_DIR/kmsg
number=10
while read -r line; do
    number=$((number + 1))
    sample "splat$number.sh" <<TEST
echo '$line' >>'$log'
TEST
done <<'LINES'
[   12.345678] WARNING: CPU: 1 PID: 4711 at drivers/block/x.c:12 f+0x1/0x2 [ublk_drv]
[   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000008
[   12.345678] BUG: sleeping function called from invalid context at mm/slab.h:1
[   12.345678] kernel BUG at drivers/block/x.c:1!
[   12.345678] Oops: 0000 [#1] PREEMPT SMP NOPTI
[   12.345678] general protection fault, probably for non-canonical address 0xdead
[   12.345678] INFO: task fio:123 blocked for more than 30 seconds.
[   12.345678] Call Trace:
[   12.345678] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
[   12.345678] rcu: INFO: rcu_preempt self-detected stall on CPU
[   12.345678] refcount_t: underflow; use-after-free.
[   12.345678] BUG: KASAN: slab-use-after-free in f+0x1/0x2
[   12.345678] UBSAN: array-index-out-of-bounds in x.c:1:1
[   12.345678] watchdog: BUG: soft lockup - CPU#1 stuck for 26s!
[   12.345678] WARNING: possible circular locking dependency detected
[   12.345678] WARNING: inconsistent lock state
LINES

run_samples sample
expect_status 1
expect_counts 0 $((number - 10)) 0
[ "$(grep -cF "# kernel log: [   12.345678]" <<<"$OUT")" -eq $((number - 10)) ] ||
    fail "not every line is reported: $OUT"

rm "$SAMPLE"/splat*
sample quiet.sh <<TEST
echo '[   12.345678] ublkb0: started, capacity 2048' >>'$log'
TEST
run_samples sample
expect_status 0
expect_counts 1 0 0
