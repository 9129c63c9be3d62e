# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Lets a harness test write tests of its own into a throw-away suite, run them with the real runner
# and look at the verdict. The kernel's side (log, devices, use count) is played by files.

HARNESS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=selftests/lib.sh
source "$HARNESS/../lib.sh"

SAMPLE=$UBLK_TEST_DIR/suites/sample
mkdir -p "$SAMPLE" "$UBLK_TEST_DIR/class" "$UBLK_TEST_DIR/programs" "$UBLK_TEST_DIR/scratch"
: >"$UBLK_TEST_DIR/kmsg"
: >"$UBLK_TEST_DIR/allowed-skips"
: >"$UBLK_TEST_DIR/cmdline"
echo 0 >"$UBLK_TEST_DIR/references"

# Writes a shell test from standard input: sample NAME
sample() {
    local body
    body=$(cat)
    {
        echo '#!/bin/bash'
        grep '^# ' <<<"$body" || :
        echo "source '$HARNESS/../lib.sh'"
        printf '%s\n' "$body"
    } >"$SAMPLE/$1"
    chmod 755 "$SAMPLE/$1"
}

# Runs the runner on samples; the output is in OUT, the status in STATUS.
run_samples() {
    STATUS=0
    env -u UBLK_RESULTS UBLK_TEST_SUITES="$UBLK_TEST_DIR/suites" \
        UBLK_TEST_PROGRAMS="$UBLK_TEST_DIR/programs" \
        UBLK_TEST_KMSG="${SAMPLE_KMSG:-$UBLK_TEST_DIR/kmsg}" \
        UBLK_TEST_CLASS_DIR="$UBLK_TEST_DIR/class" \
        UBLK_TEST_REFERENCES="$UBLK_TEST_DIR/references" \
        UBLK_TEST_ALLOWED_SKIPS="$UBLK_TEST_DIR/allowed-skips" \
        UBLK_TEST_LEAKS="$UBLK_TEST_DIR/leaks" UBLK_TEST_CMDLINE="$UBLK_TEST_DIR/cmdline" \
        UBLK_TEST_TIME_FACTOR=1 \
        UBLK_TEST_GRACE=1 UBLK_TEST_KILL_AFTER=2 UBLK_KERNEL=9.9 UBLK_DRIVER=ours \
        UBLK_SCRATCH="$UBLK_TEST_DIR/scratch" \
        "$UBLK_ROOT/selftests/run" "$@" >"$UBLK_TEST_DIR/ktap" 2>&1 || STATUS=$?
    OUT=$(<"$UBLK_TEST_DIR/ktap")
}

expect_status() {
    [ "$STATUS" -eq "$1" ] || fail "status $STATUS instead of $1 from: $OUT"
}

# The last line must be these counts: expect_counts PASSED FAILED SKIPPED
expect_counts() {
    local last
    last=$(tail -n 1 <<<"$OUT")
    [ "$last" = "$1 passed, $2 failed, $3 skipped" ] ||
        fail "counts are '$last', not $1 passed, $2 failed, $3 skipped; output: $OUT"
}

expect_output() {
    grep -qF -- "$1" <<<"$OUT" || fail "no '$1' in: $OUT"
}

# What every one of these tests is about: one test that must be counted as failed, a passing one
# beside it that must not be, and a runner that does not exit as if all were well.
expect_failure_because() {
    sample ok.sh <<<'true'
    run_samples sample
    expect_status 1
    expect_counts 1 1 0
    expect_output "not ok"
    expect_output "$1"
}
