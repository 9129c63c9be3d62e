#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 3600
# Each kind of bug that UBLK_DEBUG_KERNEL is there to find fails the test that commits it, with the
# reason; a test without one passes.
source "$(dirname "$0")/../fixture.sh"

kernel=$UBLK_DEBUG_KERNEL
module=$UBLK_ROOT/build/module/$kernel/bugs/ublk_bugs.ko

# What the runner must say of each bug.
declare -A said=(
    [lock_order]='possible circular locking dependency'
    [sleep_in_atomic]='BUG: sleeping function called'
    [rcu_without_lock]='suspicious RCU usage'
    [free_queued_work]=ODEBUG
    [long_shift]='UBSAN: shift'
    [bad_index]='UBSAN: array'
    [refcount_underflow]=refcount_t
    [hang]='blocked for more than'
)
case $kernel in
*-debug)
    said[use_after_free]='BUG: KASAN: '
    said[out_of_bounds]='BUG: KASAN: '
    ;;
*-kcsan) said[race]='BUG: KCSAN: data-race' ;;
esac

# Here the guest has to go on: as after the first bug, nobody can tell what works afterwards.
sample a_goes_on_after_bugs.sh <<'TEST'
echo 0 >/proc/sys/kernel/panic_on_warn
echo 0 >/proc/sys/kernel/panic_on_oops
echo 3 >/proc/sys/kernel/hung_task_timeout_secs
TEST
sample d_harmless.sh <<TEST
insmod '$module' bug=freed_pages_are_marked
rmmod ublk_bugs
TEST
# lockdep looks no more after its first report about locks, and after a bad access: first of all,
# by their names, are those that it finds, and of them the one after which it goes on.
declare -A order=([rcu_without_lock]=b [lock_order]=c)
for bug in "${!said[@]}"; do
    sample "${order[$bug]:-d}_$bug.sh" <<TEST
insmod '$module' bug=$bug
rmmod ublk_bugs
TEST
done
# Of leaks the runner hears at the end of the suite.
leaks=0
case $kernel in
*-debug)
    leaks=1
    sample d_leak.sh <<<"insmod '$module' bug=leak; rmmod ublk_bugs"
    ;;
esac

STATUS=0
OUT=$(UBLK_TEST_SUITES="$UBLK_TEST_DIR/suites" UBLK_TEST_KMSG=/dev/kmsg \
    "$UBLK_ROOT/scripts/run-vm-tests.sh" --kernel "$kernel" --append kasan_multi_shot \
    --no-module --no-build sample 2>&1) || STATUS=$?
# Not as this test's own cases.
echo "# ${OUT//$'\n'/$'\n# '}"
expect_status 123
for bug in "${!said[@]}"; do
    grep -B 3 "not ok [0-9]* ${order[$bug]:-d}_$bug.sh " <<<"$OUT" | grep -qF "${said[$bug]}" ||
        fail "$bug does not fail because of '${said[$bug]}'"
done
if [ "$leaks" -eq 1 ]; then
    expect_output "objects that nobody can reach"
fi
# The last failure is that of the whole guest, whose log tells of bugs.
expect_counts $((2 + leaks)) $((${#said[@]} + leaks + 1)) 0
