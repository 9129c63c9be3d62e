#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# The generator of lies finds what it is to find: bytes of freed memory, wrong data, processes that
# do not die, devices that stay. A run in which nobody does anything has proved nothing.
source "$(dirname "$0")/../lib.sh"

LIAR=$UBLK_ROOT/build/selftests/hostile/liar
# As in a_server_that_lies_breaks_nothing.
operations=$((8000 * ${UBLK_TEST_TIME_FACTOR:-1}))

# expect_found STAGE MESSAGE: with that going wrong, a run says so, and how to see it again: with the seed
# that was asked for, or one of those that it went on with.
expect_found() {
    run_expect 1 "$LIAR" --seed 3 --operations "$operations" --stage "$1"
    grep -q "$2" <<<"$OUT" || fail "staged $1, it says: $OUT"
    grep -q "again: scripts/run-liar --seed [3-8] --operations $operations" <<<"$OUT" ||
        fail "it does not say how to see it again: $OUT"
}

expect_found marker "KERNEL MEMORY: .* of disk"
expect_found wrong "of disk .*, expected"
expect_found deaf "was killed and does not end"
expect_found idle "this proves nothing: nobody did anything"
expect_found device "device [0-9]* is left"
