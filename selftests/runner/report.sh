# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Turns verdicts into KTAP lines and counts. The counts are also kept in a file that survives the
# machine, so that a test that takes the kernel down still counts.

ALLOWED_SKIPS=${UBLK_TEST_ALLOWED_SKIPS:-$SELFTESTS/allowed-skips}
LOG_LINES_SHOWN=120

report_start() {
    PASSED=0 FAILED=0 SKIPPED=0 PLANNED=$2 RUNNING=
    echo "KTAP version 1"
    echo "1..$1"
    write_counts
}

write_counts() {
    printf 'planned %s\npassed %s\nfailed %s\nskipped %s\nrunning %s\n' \
        "$PLANNED" "$PASSED" "$FAILED" "$SKIPPED" "$RUNNING" >"$RESULTS/counts"
}

report_running() {
    RUNNING=$1
    write_counts
}

report_suite_start() {
    SUITE_NUMBER=0 SUITE_FAILED=0
    echo "  KTAP version 1"
    echo "  # Subtest: $1"
    echo "  1..$2"
}

# The line in the list allows a skip if kernel and test are right and its text is in the reason.
skip_is_allowed() {
    local test=$1 reason=$2 kernel name text
    [ -f "$ALLOWED_SKIPS" ] || return 1
    while read -r kernel name text; do
        case $kernel in
        "$TESTED_KERNEL" | "$BASE_KERNEL" | '*') ;;
        host) [ -z "${UBLK_VM:-}" ] || continue ;;
        *) continue ;;
        esac
        [[ $name == "$test" || $name == "${test%%\[*}" ]] || continue
        [ -n "$text" ] && [[ $reason == *"$text"* ]] && return 0
    done < <(read_list "$ALLOWED_SKIPS")
    return 1
}

report_test() {
    local test=$1 name time
    name=${test#*/}
    SUITE_NUMBER=$((SUITE_NUMBER + 1))
    time=$(printf '%d.%02ds' $((ELAPSED / 1000)) $((ELAPSED % 1000 / 10)))
    if [ "$VERDICT" = skip ] && ! skip_is_allowed "$test" "$SKIP_REASON"; then
        failed_because "unexpected skip: $SKIP_REASON"
    fi
    show_figures
    case $VERDICT in
    pass)
        PASSED=$((PASSED + 1))
        [ "$VERBOSE" = no ] || show_log
        echo "  ok $SUITE_NUMBER $name # time=$time"
        ;;
    skip)
        SKIPPED=$((SKIPPED + 1))
        echo "  ok $SUITE_NUMBER $name # SKIP $SKIP_REASON"
        ;;
    fail)
        FAILED=$((FAILED + 1)) SUITE_FAILED=$((SUITE_FAILED + 1))
        show_log
        printf '  # %s\n' "${REASONS[@]}"
        echo "  not ok $SUITE_NUMBER $name # time=$time"
        ;;
    esac
    RUNNING=
    write_counts
}

# What a test reached, beside its verdict.
show_figures() {
    sed -n 's/^# figure: /  # figure: /p' "$LOG"
}

show_log() {
    tail -n "$LOG_LINES_SHOWN" "$LOG" | sed 's/^/  # | /'
}

report_suite_end() {
    local number=$1 suite=$2
    if [ "$SUITE_FAILED" -eq 0 ]; then
        echo "ok $number $suite"
    else
        echo "not ok $number $suite # $SUITE_FAILED failed"
    fi
}

report_end() {
    echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    [ "$FAILED" -eq 0 ] && [ $((PASSED + SKIPPED)) -eq "$PLANNED" ]
}
