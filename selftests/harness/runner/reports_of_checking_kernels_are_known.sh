#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What kernels say that check locks, objects, memory and races is known as a sign of a bug, and so is
# that they have stopped to check. Data races count only if code of ours has a part in them.
source "$(dirname "$0")/../../lib.sh"
# shellcheck source=scripts/lib/splat.sh
source "$UBLK_ROOT/scripts/lib/splat.sh"

while read -r line; do
    find_splats <<<"[   12.345678] $line" >"$UBLK_TEST_DIR/found" || fail "not known: $line"
    grep -qF "$line" "$UBLK_TEST_DIR/found" || fail "$line is reported as: $(<"$UBLK_TEST_DIR/found")"
done <<'LINES'
WARNING: possible recursive locking detected
WARNING: bad unlock balance detected!
WARNING: ublkd/123 still has locks held!
WARNING: suspicious RCU usage
[ BUG: Invalid wait context ]
BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580
INFO: trying to register non-static key.
BUG: KASAN: slab-use-after-free in ublk_slot_move+0x1/0x2 [ublk_drv]
BUG kmalloc-64 (Tainted: G           OE     ): Poison overwritten
ODEBUG: free active (active state 0) object type: timer_list hint: f+0x0/0x10
list_del corruption. prev->next should be ffff888012345678, but was 0000000000000000.
pagealloc: memory corruption
UBSAN: shift-out-of-bounds in drivers/block/x.c:1:2
BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!
INFO: task iou-wrk-123:124 blocked for more than 30 seconds.
BUG: KCSAN: data-race in blk_mq_end_request / ublk_request_end [ublk_drv]
BUG: KCSAN: data-race in ublk_request_end / blk_mq_end_request
kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
kmemleak: Kernel memory leak detector disabled
ODEBUG: Out of memory. ODEBUG disabled
turning off the locking correctness validator.
INFO: lockdep is turned off.
LINES

while read -r line; do
    ! find_splats <<<"[   12.345678] $line" || fail "taken for a bug: $line"
done <<'LINES'
BUG: KCSAN: data-race in tick_sched_do_timer / tick_sched_do_timer
kmemleak: Kernel memory leak detector initialized (mem pool available: 31982)
ublkb0: started, capacity 2048
LINES
