#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL at every single system call of a verb, or of the server while it does what the verb wants (of
# each so-manieth in a usual run): the device is not there, or can be recovered and deleted by ublkd,
# nothing stays locked, and its file can be attached again.
# timeout: 400
# full-timeout: 7200
# modes: add add-server recover recover-server resize resize-server del
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"
require_feature QUIESCE
require_program strace

number=11
node=/dev/ublkb$number
image=$(make_image disk 8M)
printf 'what is on the disk' | dd of="$image" conv=notrunc status=none
add=(ublkd add loop file="$image" --number "$number" --recovery queue)

# strace counts each kind of system call for itself, so a moment is a call's name and which of its
# kind: "openat 3". What strace runs, or attaches to, gets SIGKILL then; of "nothing", never.
moment=nothing
traced() {
    local -a death=()
    [ "$moment" = nothing ] || death=(-e "inject=${moment% *}:signal=SIGKILL:when=${moment#* }")
    exec strace -o "$UBLK_TEST_DIR/calls" "${death[@]}" "$@"
}

# The moments of what was traced last, in the order of their first appearance.
moments() {
    awk '{ task = /^[0-9]+ / ? $1 : 0; sub(/^[0-9]+ +/, "") }
        match($0, /^[a-z_0-9]+\(/) {
            name = substr($0, 1, RLENGTH - 1)
            moment = name " " ++count[task, name]
            if (!seen[moment]++) print moment
        }' "$UBLK_TEST_DIR/calls"
}

was_killed() {
    grep -q "killed by SIGKILL" "$UBLK_TEST_DIR/calls"
}

# A verb, whose children are not traced: kill_caller VERB...
kill_caller() {
    local job
    traced "$@" >/dev/null 2>"$UBLK_TEST_DIR/err" &
    job=$!
    finishes_within 60 "$job" || fail "$moment: $* hangs"
}

# A server in the foreground, all its threads. One that gets so far is told to end by del.
kill_server() {
    local job
    : >"$UBLK_TEST_DIR/out" # what the last one printed would be taken for this one's
    traced -f "$@" >"$UBLK_TEST_DIR/out" 2>"$UBLK_TEST_DIR/err" &
    job=$!
    wait_until 60 has_printed_or_ended "$job" || fail "$moment: $* neither serves nor ends"
    process_is_gone "$job" || ublkd del "$number" || : # it may be killed meanwhile
    finishes_within 60 "$job" || fail "$moment: $* hangs"
}

has_printed_or_ended() {
    [ -s "$UBLK_TEST_DIR/out" ] || process_is_gone "$1"
}

# The server that runs, while it does what a verb asks for.
kill_server_during() {
    local server tracer
    server=$(server_pid "$node")
    : >"$UBLK_TEST_DIR/calls"
    traced -f -p "$server" 2>"$UBLK_TEST_DIR/err" &
    tracer=$!
    wait_until 20 is_attached "$server" || fail "strace does not attach: $(<"$UBLK_TEST_DIR/err")"
    "$@" >/dev/null 2>&1 || : # its server may be killed
    was_killed || kill -TERM "$tracer" 2>/dev/null || :
    finishes_within 20 "$tracer" || fail "strace hangs"
}

# Or gone, if that call was one that it waits in.
is_attached() {
    process_is_gone "$1" || grep -q "^TracerPid:[[:space:]]*[1-9]" "/proc/$1/status"
}

have_device() {
    dev_exists "$node" || "${add[@]}" >/dev/null || fail "$moment: it cannot be attached again"
}

have_waiting_device() {
    have_device
    ublkd quiesce "$number" || fail "$moment: quiesce"
}

state() {
    ublkd show "$number" --json | jq -r .state
}

# A server is at it that has not got its disk yet, or is leaving because its caller has died.
someone_is_at_it() {
    local server
    server=$(ublkd show "$number" --json | jq -r '.server.pid // empty') || :
    pgrep -x ublkd | grep -qvx "${server:-none}"
}

# Nor has the driver still to notice a death.
settled() {
    ! someone_is_at_it || return 1
    ! dev_exists "$node" || [[ $(state) =~ ^(quiesced|live|dead)$ ]]
}

read_it() {
    timeout 20 dd if="$node" bs=512 count=1 status=none | grep -qa "what is on the disk"
}

expect_no_harm() {
    run_expect 0 ublkd list
    run_expect 0 ublkd list --json
    wait_until 30 settled || fail "$moment: it stays $(state), with processes $(pgrep -a ublkd)"
    if dev_exists "$node"; then
        run_expect 0 ublkd show "$number"
        if [ "$(state)" = quiesced ]; then
            ublkd recover "$number" >/dev/null || fail "$moment: it cannot be recovered"
        fi
        if [ "$(state)" = live ]; then
            read_it || fail "$moment: it does not serve what it had"
        fi
        # The others go on with it.
        if [[ $MODE == add* ]] || [ "$(state)" != live ]; then
            ublkd del "$number" || fail "$moment: it cannot be deleted"
        fi
    fi
    if [ -e "/run/ublkd/$number.json" ] && ! dev_exists "$node"; then
        run_expect 2 ublkd del "$number"
        [ ! -e "/run/ublkd/$number.json" ] || fail "$moment: a record without a device stays"
    fi
}

round() {
    case $MODE in
    add) kill_caller "${add[@]}" ;;
    add-server) kill_server "${add[@]}" --foreground ;;
    recover)
        have_waiting_device
        kill_caller ublkd recover "$number"
        ;;
    recover-server)
        have_waiting_device
        kill_server ublkd recover "$number" --foreground
        ;;
    resize)
        have_device
        kill_caller ublkd resize "$number" "$((9 + number_of_round))M"
        ;;
    resize-server)
        have_device
        kill_server_during ublkd resize "$number" "$((9 + number_of_round))M"
        ;;
    del)
        have_device
        kill_caller ublkd del "$number"
        ;;
    *) fail "no such mode: $MODE" ;;
    esac
}

every=$(amount "$([ "$MODE" = resize-server ] && echo 7 || echo 31)" 1)
deaths=0 number_of_round=0
round
expect_no_harm
mapfile -t all < <(moments)
for ((number_of_round = 1 + RANDOM % every; number_of_round <= ${#all[@]}; number_of_round += every)); do
    moment=${all[number_of_round - 1]}
    round
    ! was_killed || deaths=$((deaths + 1))
    expect_no_harm
done
figure "$deaths deaths at $((${#all[@]} / every)) of ${#all[@]} moments"
[ "$deaths" -gt 2 ] || fail "nothing was killed"
moment=nothing
MODE=add expect_no_harm
"${add[@]}" >/dev/null || fail "it cannot be attached any more"
read_it || fail "it does not serve what it had"
del_dev "$node"
expect_nothing_left
