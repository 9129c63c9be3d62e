# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Vocabulary of the stress tests, beside lib.sh, io.sh and leaks.sh. They do little in a usual run;
# scripts/run-vm-tests.sh --full lets them do all they can.

# The programs of the suite.
# shellcheck disable=SC2034 # the tests'
STRESS=$UBLK_ROOT/build/selftests/stress

# How much is done of something: amount NORMAL FULL. UBLK_TEST_STRESS=full asks for all of it.
amount() {
    case ${UBLK_TEST_STRESS:-normal} in
    normal) echo "$1" ;;
    full) echo "$2" ;;
    *) fail "UBLK_TEST_STRESS is neither normal nor full" ;;
    esac
}

# Runs a program of the suite, which does something so many times at random, and sees that no memory
# is lost, if that is often enough to tell: run_often PROGRAM TIMES
run_often() {
    if [ "$2" -ge 200 ]; then
        "$STRESS/$1" 12 "$SEED" >/dev/null || return 1
        remember_memory
    fi
    "$STRESS/$1" "$2" $((SEED + 1)) || return 1
    [ "$2" -lt 200 ] || expect_no_leak "$2"
}

# Tells what was reached, which stands beside the verdict.
figure() {
    echo "# figure: $*"
}

# What a random test must be repeated with; sets RANDOM, too.
SEED=${UBLK_TEST_SEED:-$(($(date +%s) % 100000))}
RANDOM=$SEED
echo "# seed $SEED (repeat with UBLK_TEST_SEED=$SEED)"
