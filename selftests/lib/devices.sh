# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The part of the tests' vocabulary that deals with ublk devices and what the machine can do.

# The number of a device: dev_id /dev/ublkb3 prints 3.
dev_id() {
    local id=${1##*/ublkb}
    [[ $id =~ ^[0-9]+$ ]] || fail "not a ublk device: $1"
    echo "$id"
}

# Adds a device and prints its name; it is deleted when the test ends. Its data take the way that the
# test's mode names, and the test is skipped if driver or target do not know that.
# add_dev TARGET [KEY=VALUE | OPTION]...
add_dev() {
    local dev errors=$UBLK_TEST_DIR/.add-errors
    local -a way=(${UBLK_COPY:+--copy "$UBLK_COPY"})
    if [ "${UBLK_COPY:-}" = shmem ] && [[ " $* " != *' --shmem '* ]]; then
        share_memory
        way+=(--shmem "$SHARED_MEMORY")
    fi
    dev=$("$UBLKD" add "$@" "${way[@]}" 2>"$errors") ||
        failed_to_add "$?" "$(<"$errors")" "$@"
    cat "$errors" >&2
    [ -b "$dev" ] || fail "ublkd add $* printed '$dev', which is no block device"
    on_exit forget_dev "$dev"
    echo "$dev"
}

# Makes the memory that a device shares if its test does not care which: nobody else uses it.
SHARED_MEMORY=/dev/shm/ublk-test-$$
share_memory() {
    [ ! -e "$SHARED_MEMORY" ] || return 0
    truncate -s 1M "$SHARED_MEMORY"
    on_exit rm -f "$SHARED_MEMORY"
}

failed_to_add() {
    local status=$1 error=$2
    shift 2
    echo "$error" >&2
    [[ -z ${UBLK_COPY:-} || ! $error =~ 'the driver lacks '([A-Z_]+) ]] ||
        skip "the driver lacks ${BASH_REMATCH[1]}"
    [[ -z ${UBLK_COPY:-} || $error != *'target needs the data'* ]] ||
        skip "$1 needs the data in its memory"
    fail "ublkd add $* failed with status $status"
}

dev_exists() {
    [ -e "/sys/class/ublk-char/ublkc$(dev_id "$1")" ]
}

forget_dev() {
    ! dev_exists "$1" || "$UBLKD" del --force "$1"
}

del_dev() {
    "$UBLKD" del "$1" || fail "ublkd del $1 failed with status $?"
    ! dev_exists "$1" || fail "$1 is still there after ublkd del"
}

# The process that serves a device.
server_pid() {
    local pid
    pid=$("$UBLKD" show "$1" --json | jq -r '[.. | objects | .pid? // empty][0] // empty')
    [[ $pid =~ ^[1-9][0-9]*$ ]] || fail "ublkd show $1 --json names no server process"
    echo "$pid"
}

# Kills a device's server in a way it cannot notice, and waits until it has gone.
kill_server() {
    local pid
    pid=$(server_pid "$1")
    kill -KILL "$pid"
    wait_until 30 process_is_gone "$pid" || fail "server $pid of $1 does not die"
}

# A zombie has died; who reaps it is not ours to judge.
process_is_gone() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return 0
    case $state in
    '' | Z* | X*) return 0 ;;
    *) return 1 ;;
    esac
}

# Whether the driver has a feature (its name without UBLK_F_).
has_feature() {
    "$UBLKD" features --json | jq -e --arg name "$1" '.driver.features | any(. == $name)' >/dev/null
}

# Skips the test unless it has.
require_feature() {
    has_feature "$1" || skip "the driver lacks $1"
}

require_program() {
    command -v "$1" >/dev/null || skip "$1 is not installed"
}
