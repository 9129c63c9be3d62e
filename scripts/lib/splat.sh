# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What a kernel log looks like when something went wrong in the kernel. Used on the host for the
# console log and in the guest for the log of one test.

SPLAT_PATTERN='BUG: |BUG:$|WARNING: |kernel BUG at|Oops|general protection fault'
SPLAT_PATTERN+='|blocked for more than|Call Trace|rcu.*detected (expedited )?stalls?'
SPLAT_PATTERN+='|self-detected stall|refcount_t|KASAN|KCSAN|UBSAN|KFENCE|soft lockup|hard LOCKUP'
SPLAT_PATTERN+='|possible (circular|recursive) locking|inconsistent lock state'
SPLAT_PATTERN+='|suspicious RCU usage|INFO: task|Kernel panic|stack segment:|double fault'
SPLAT_PATTERN+='|unable to handle|Bad page state|page allocation failure'
# What only kernels that look for bugs say, and that they have stopped to look.
SPLAT_PATTERN+='|BUG [^ ]+ \(|ODEBUG|INFO: trying to register|pagealloc: |(list_add|list_del) corruption'
SPLAT_PATTERN+='|kmemleak: ([0-9]+ new|.*disabled)|(lockdep is turned|turning) off'

# The harness proves that splats are seen by writing false ones; it marks them in the log so that
# only the test that looks for them is told. Everything else on the line is still looked at.
SPLAT_STAGED_BEGIN='ublk-test: staged splat begins'
SPLAT_STAGED_END='ublk-test: staged splat ends'

# Prints the lines of a kernel log (standard input) that tell of a kernel bug.
find_splats() {
    without_foreign_races | without_failed_vmallocs | grep -aE "$SPLAT_PATTERN"
}

# vmalloc() tells of a failure with a backtrace. Those of the tasks whose allocations
# stress/every_failed_allocation_* let fail are no bug; what comes of them is seen.
without_failed_vmallocs() {
    awk '/(iou-wrk-|kworker\/|every_failed_al).*: vmalloc error: size / { told = NR }
        !(told && NR - told <= 3 && /Call Trace/) { print }'
}

# Leaves out data races in which no code of ours has a part: a kernel has many that its authors
# put up with. The first line of a report names both functions.
without_foreign_races() {
    awk '!/BUG: KCSAN:/ || /\[ublk_[a-z]+\]/ || / ublk_[a-z0-9_.]+( |$)/'
}

without_staged_splats() {
    awk -v begin="$SPLAT_STAGED_BEGIN" -v end="$SPLAT_STAGED_END" '
        index($0, begin) { hidden = 1 }
        !hidden { print }
        index($0, end) { hidden = 0 }'
}
