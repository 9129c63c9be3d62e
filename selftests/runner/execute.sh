# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Runs one test: limits its time, watches the kernel log and what it leaves behind, and decides on
# the verdict. Results are in VERDICT (pass, fail, skip), REASONS, LOG and ELAPSED.

# Limits are those of a stock kernel; others take that many times as long.
TIME_FACTOR=${UBLK_TEST_TIME_FACTOR:-1}
DEFAULT_TIMEOUT=${UBLK_TEST_DEFAULT_TIMEOUT:-60}
# After its limit a test is asked to end, then killed, then given up: it hangs in the kernel.
KILL_AFTER=${UBLK_TEST_KILL_AFTER:-10}
GIVE_UP_AFTER=$((KILL_AFTER + 20))

# Sets a variable to the time since boot in milliseconds.
read_clock() {
    local time
    read -r time _ </proc/uptime
    time=${time/./}
    printf -v "$1" %d $((10#$time * 10))
}

# Starts the test away from us and waits for its status through a pipe: unlike wait, reading can
# time out, so that a test that cannot even be killed does not take the runner with it.
run_limited() {
    local limit=$1 status
    shift
    exec {channel}<> <(:)
    {
        status=0
        ("$@" {channel}>&-) || status=$?
        echo "$status" >&"$channel"
    } &
    if ! read -r -t $((limit + GIVE_UP_AFTER)) status <&"$channel"; then
        status=unkillable
    else
        wait "$!"
    fi
    exec {channel}>&-
    STATUS=$status
}

# Runs in a subshell and ends as the test.
start_test() {
    export UBLK_TEST_ID=$1 UBLK_TEST_NAME=$2 UBLK_TEST_DIR=$WORK UBLK_ROOT=$ROOT
    export MODE=$3 UBLK_COPY=$TEST_COPY
    exec timeout --kill-after="$KILL_AFTER" "$4" "$5" </dev/null >"$LOG" 2>&1
}

# Seconds for a test. One that does more when asked for all of it may have another limit then.
limit_of() {
    read_comment timeout "$1" "$DEFAULT_TIMEOUT"
    [ "${UBLK_TEST_STRESS:-}" != full ] || read_comment full-timeout "$1" "$COMMENT"
    echo "$((COMMENT * TIME_FACTOR))"
}

execute() {
    local name=$1 program limit id start end
    find_source "$name"
    limit=$(limit_of "$SOURCE")
    LOG=$RESULTS/logs/${name//\//.}.log
    VERDICT=pass REASONS=() ELAPSED=0
    program=$SOURCE
    if [ "${SOURCE%.c}" != "$SOURCE" ]; then
        program=$PROGRAMS_DIR/$name
        if [ ! -x "$program" ]; then
            : >"$LOG"
            failed_because "not built: run make -C selftests"
            return
        fi
    fi
    id=$name.$$.$EPOCHREALTIME
    WORK=$UBLK_SCRATCH/test.$$.$EPOCHREALTIME
    mkdir "$WORK"
    remember_state
    mark_kernel_log "begin $id"
    read_clock start
    run_limited "$limit" start_test "$id" "$name" "$TEST_MODE" "$limit" "$program"
    read_clock end
    ELAPSED=$((end - start))
    judge_status "$limit"
    judge_output
    judge_leftovers "$id"
    judge_kernel_log "$id"
    [ "$VERDICT" = fail ] || rm -rf "$WORK"
}

failed_because() {
    VERDICT=fail
    REASONS+=("$1")
}

judge_status() {
    local limit=$1
    case $STATUS in
    0) ;;
    4)
        VERDICT=skip
        SKIP_REASON=$(sed -n 's/^SKIP: //p' "$LOG" | tail -n 1)
        [ -n "$SKIP_REASON" ] || failed_because "skipped without a reason"
        ;;
    unkillable) failed_because "cannot be killed: hangs in the kernel" ;;
    *)
        if [ "$ELAPSED" -ge $((limit * 1000)) ]; then
            failed_because "timeout after $limit s"
        else
            failed_because "exit status $STATUS"
        fi
        ;;
    esac
}

# A C program reports cases of its own; its exit status must not hide one of them.
judge_output() {
    [ "$VERDICT" = pass ] || return 0
    if grep -qE '^not ok ' "$LOG"; then
        failed_because "a case failed but the exit status is 0"
    elif grep -qE '^ok .*# SKIP' "$LOG"; then
        VERDICT=skip
        SKIP_REASON=$(sed -nE 's/^ok .*# SKIP *//p' "$LOG" | head -n 1)
    fi
}

judge_leftovers() {
    local line
    find_leftovers "$1"
    [ "${#FOUND[@]}" -gt 0 ] || return 0
    for line in "${FOUND[@]}"; do
        failed_because "$line"
    done
    remove_leftovers "$1" >>"$LOG" 2>&1
}

judge_kernel_log() {
    local splats
    if ! splats=$(splats_since "begin $1"); then
        failed_because "the kernel log since the test's start is lost"
        return
    fi
    [ -n "$splats" ] || return 0
    failed_because "kernel log: ${splats%%$'\n'*}"
    kernel_log_since "begin $1" >>"$LOG"
}
