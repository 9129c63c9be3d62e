# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Vocabulary of the shell tests, which source it first. Documentation/testing.rst explains it.

set -euo pipefail
export LC_ALL=C.UTF-8

UBLK_ROOT=${UBLK_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)}
UBLKD=${UBLKD:-$UBLK_ROOT/userspace/ublkd}
PATH=${UBLKD%/*}:$PATH
MODE=${MODE:-}
UBLK_COPY=${UBLK_COPY:-}
TEST_NAME=${UBLK_TEST_NAME:-${0##*/}}
# A test run by hand makes its own scratch directory; the runner's is on a real disk.
if [ -z "${UBLK_TEST_DIR:-}" ]; then
    UBLK_TEST_DIR=$(mktemp -d "${UBLK_SCRATCH:-/var/tmp}/ublk-test.XXXXXX")
    OWN_TEST_DIR=$UBLK_TEST_DIR
fi
export UBLK_ROOT UBLKD PATH MODE UBLK_COPY TEST_NAME UBLK_TEST_DIR

# Clean-up commands are kept in a file, not in a variable: helpers run in `$(...)` register too.
CLEANUPS=$UBLK_TEST_DIR/.cleanups
: >"$CLEANUPS"

# Ends the test as failed: fail MESSAGE...
fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# Ends the test as not applicable here: skip REASON...
skip() {
    echo "SKIP: $*" >&2
    exit 4
}

# Runs a command when the test ends, last registered first: on_exit COMMAND [ARGUMENT]...
on_exit() {
    printf '%q ' "$@" >>"$CLEANUPS"
    echo >>"$CLEANUPS"
}

# Without a process to wait for, the shell's wait forgets every failure.
wait() {
    [ $# -gt 0 ] || fail "wait needs the process to wait for: without it failures are lost"
    builtin wait "$@"
}

run_cleanups() {
    local lines number status=0
    mapfile -t lines <"$CLEANUPS"
    for ((number = ${#lines[@]} - 1; number >= 0; number--)); do
        if ! (eval "${lines[number]}"); then
            echo "clean-up failed: ${lines[number]}" >&2
            status=1
        fi
    done
    return "$status"
}

end_test() {
    local status=$? jobs pid
    trap - EXIT ERR
    set +e
    # Not in a command substitution: a subshell has no jobs.
    jobs -l >"$UBLK_TEST_DIR/.jobs"
    jobs=$(<"$UBLK_TEST_DIR/.jobs")
    run_cleanups || { [ "$status" -ne 0 ] || status=1; }
    if [ -n "$jobs" ]; then
        # Its failure, if it failed, would be lost.
        if [ "$status" -eq 0 ]; then
            printf 'FAIL: a background job was never waited for:\n%s\n' "$jobs" >&2
            status=1
        fi
        for pid in $(builtin jobs -p); do
            kill -KILL "$pid" 2>/dev/null
        done
    fi
    [ -z "${OWN_TEST_DIR:-}" ] || rm -rf "$OWN_TEST_DIR"
    exit "$status"
}

set -E
trap 'echo "${BASH_SOURCE[0]##*/}:$LINENO: status $?: $BASH_COMMAND" >&2' ERR
trap end_test EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# Polls until a command succeeds: wait_until SECONDS COMMAND [ARGUMENT]... They are those of a stock
# kernel; one that checks everything it does may take longer.
wait_until() {
    local deadline=$((SECONDS + $1 * ${UBLK_TEST_TIME_FACTOR:-1}))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# Runs a command that must end with a status; keeps its output in OUT and ERR:
# run_expect STATUS COMMAND [ARGUMENT]...
run_expect() {
    local expected=$1 status=0
    shift
    "$@" >"$UBLK_TEST_DIR/.out" 2>"$UBLK_TEST_DIR/.err" </dev/null || status=$?
    OUT=$(<"$UBLK_TEST_DIR/.out")
    ERR=$(<"$UBLK_TEST_DIR/.err")
    [ "$status" -eq "$expected" ] ||
        fail "status $status instead of $expected: $* (stdout: $OUT) (stderr: $ERR)"
}

# shellcheck source=selftests/lib/devices.sh
source "$UBLK_ROOT/selftests/lib/devices.sh"
