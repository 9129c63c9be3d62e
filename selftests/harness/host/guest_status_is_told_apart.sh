#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 1800
# scripts/vm tells a failed command from a panic, a timeout and a kernel bug in the log.
source "$(dirname "$0")/../fixture.sh"

vm() {
    STATUS=0
    OUT=$("$UBLK_ROOT/scripts/vm" --no-module "$@" 2>&1) || STATUS=$?
}

vm -- sh -c 'echo to stdout; echo to stderr >&2; exit 42'
expect_status 42
expect_output "to stdout"
expect_output "to stderr"
vm -- sh -c 'echo c >/proc/sysrq-trigger'
expect_status 125
expect_output "no boot or panic"
vm --timeout 20 -- sleep 1000
expect_status 124
expect_output "timeout"
vm -- sh -c 'echo "<1>BUG: staged for a test" >/dev/kmsg'
expect_status 123
expect_output "BUG: staged for a test"
vm --module /nonexistent.ko -- true
expect_status 125
expect_output "no module /nonexistent.ko"
