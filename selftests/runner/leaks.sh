# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Memory that the driver allocated and nobody can reach any more. Kernels that look for it are asked
# once per suite, which then has one test more; LEAK_TEST is its name.

# Where the kernel tells; the harness tests tell themselves.
LEAKS=${UBLK_TEST_LEAKS:-/sys/kernel/debug/kmemleak}
KERNEL_PARAMETERS=${UBLK_TEST_CMDLINE:-/proc/cmdline}
# What is younger is not looked at by the kernel: it may be in somebody's registers.
LEAK_AGE=${UBLK_TEST_LEAK_AGE:-6}
LEAK_TEST=no_memory_of_the_driver_is_lost

leaks_can_be_found() {
    [ -w "$LEAKS" ] && ! grep -qw kmemleak=off "$KERNEL_PARAMETERS"
}

# Prints the reports that have a function of a module of ours in their call trace, or of a module
# that is gone: tests unload the driver. If it is built in only the functions' names tell.
leaks_of_driver() {
    awk 'function tell() { if (ours) printf "%s", report }
        /^unreferenced object/ { tell(); report = ""; ours = 0 }
        { report = report $0 "\n" }
        /\[ublk_[a-z]+\]/ || / ublk_[a-z0-9_.]+\+0x/ || /^ *(\[<[0-9a-f]+>\] )?0x[0-9a-f]+$/ { ours = 1 }
        END { tell() }' "$LEAKS"
}

# Fills the variables of execute.sh: what is found fails the suite. Twice, because the first look
# sees memory of calls that have just returned, whose traces are still on a stack.
look_for_leaks() {
    local found
    # shellcheck disable=SC2034 # report.sh's
    VERDICT=pass REASONS=() ELAPSED=0
    LOG=$RESULTS/logs/$1.$LEAK_TEST.log
    sleep "$LEAK_AGE"
    # A kernel that ran out of memory for it does not look any more.
    { echo scan >>"$LEAKS" && echo scan >>"$LEAKS"; } 2>/dev/null ||
        failed_because "the kernel has given up to look for leaks"
    leaks_of_driver >"$LOG"
    found=$(grep -c '^unreferenced object' "$LOG" || :)
    [ "$found" -eq 0 ] || failed_because "objects that nobody can reach: $found"
    # They are not the next suite's.
    echo clear >>"$LEAKS" || :
}
