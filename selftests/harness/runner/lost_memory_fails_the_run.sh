#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# Memory of the driver that the kernel finds lost fails the suite; that of others does not.
source "$(dirname "$0")/../fixture.sh"

export UBLK_TEST_LEAK_AGE=0
leaks=$UBLK_TEST_DIR/leaks
sample ok.sh <<<'true'

# report ADDRESS CALLER
report() {
    cat <<REPORT
unreferenced object $1 (size 64):
  comm "ublkd", pid 4711, jiffies 4294901234 (age 12.345s)
  hex dump (first 32 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
  backtrace:
    [<00000000deadbeef>] kmalloc_trace+0x27/0x60
    [<00000000c0ffee00>] $2
    [<000000000badcafe>] do_syscall_64+0x58/0x80
REPORT
}

# The kernel does not look, because it cannot or was told not to: nothing is said about it.
run_samples sample
expect_status 0
expect_counts 1 0 0
: >"$leaks"
echo quiet kmemleak=off >"$UBLK_TEST_DIR/cmdline"
run_samples sample
expect_status 0
expect_counts 1 0 0
echo quiet >"$UBLK_TEST_DIR/cmdline"

{
    report 0xffff888001 other_function+0x1/0x2
    report 0xffff888002 another_function+0x1/0x2
} >"$leaks"
run_samples sample
expect_status 0
expect_counts 2 0 0
expect_output "ok 2 no_memory_of_the_driver_is_lost"
grep -qx scan "$leaks" || fail "the kernel was not asked to look"

for caller in 'ublk_device_add+0x12/0x345 [ublk_drv]' 0xffffffffc0401234 \
    ublk_device_add+0x12/0x345; do
    {
        report 0xffff888001 other_function+0x1/0x2
        report 0xffff888003 "$caller"
        report 0xffff888002 other_function+0x1/0x2
    } >"$leaks"
    run_samples sample
    expect_status 1
    expect_counts 1 1 0
    expect_output "not ok 2 no_memory_of_the_driver_is_lost"
    expect_output "objects that nobody can reach: 1"
    expect_output 0xffff888003
    ! grep -F 0xffff888001 <<<"$OUT" || fail "memory of others is reported, too: $OUT"
done
