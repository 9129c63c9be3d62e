#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory runs out in ublkd, at any of its allocations, the server's too: each verb does its work or
# ends with one line and an exit code, and leaves nothing behind.
# timeout: 400
# full-timeout: 7200
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"
source "$(dirname "$0")/../lib/failures.sh"

library=$UBLK_ROOT/build/selftests/resources/fail_allocation.so
[ -e "$library" ] || fail "not built: run make -C selftests"
mark=$UBLK_TEST_DIR/mark
failed=$UBLK_TEST_DIR/failed # one character for each failure
: >"$failed"

# Early ones as often as late ones, of which there are more.
without_memory() {
    local most=$((1 << (RANDOM % 12 + 1))) status=0
    rm -f "$mark"
    FAIL_ALLOCATION=$((RANDOM % most + 1)) FAIL_ALLOCATION_MARK=$mark LD_PRELOAD=$library \
        ublkd "$@" || status=$?
    [ ! -e "$mark" ] || printf x >>"$failed"
    return "$status"
}

fail_in_every_verb "$(amount 6 300)" without_memory
count=$(stat -c %s "$failed")
[ "$count" -ge 10 ] || fail "only $count allocations have failed"
figure "$count allocations of ublkd failed"
