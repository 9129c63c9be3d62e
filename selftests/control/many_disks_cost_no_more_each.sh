#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What ublkd does to add or delete one disk does not grow with the number of disks there are: counted in
# system calls on files, of the verb and of its server. How the time grows is told.
# timeout: 400
# full-timeout: 14400
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"
require_feature SAFE_STOP_DEV
require_program strace

few=5
many=$(amount 30 1000)
# A server keeps its memory. With less, as many as there is room for.
room=$(awk '/^MemAvailable/ { print int($2 / 16384) }' /proc/meminfo)
[ "$many" -le "$room" ] || many=$room
tolerance=30
number=4000
node=/dev/ublkb$number

files_in() {
    grep -cE '^([0-9]+ +)?(openat|open|newfstatat|statx|readlink|readlinkat|getdents64|unlink|mkdir|rename|umount2|access)\(' "$1"
}

is_served() {
    [ -s "$UBLK_TEST_DIR/out" ] || process_is_gone "$1"
}

# Fills ADD and DEL with the calls of one disk more.
count_calls() {
    local server
    : >"$UBLK_TEST_DIR/out"
    strace -f -qq -o "$UBLK_TEST_DIR/add" "$UBLKD" add loop file="$UBLK_TEST_DIR/own" --number "$number" \
        --foreground >"$UBLK_TEST_DIR/out" &
    server=$!
    wait_until 60 is_served "$server" || fail "add hangs"
    dev_exists "$node" || fail "add fails"
    # Until here: the rest is that of its end.
    ADD=$(files_in "$UBLK_TEST_DIR/add")
    udevadm settle
    strace -qq -o "$UBLK_TEST_DIR/del" "$UBLKD" del "$number" || fail "del"
    DEL=$(files_in "$UBLK_TEST_DIR/del")
    finishes_within 60 "$server" || fail "the server stays"
}

# Fills TIME with the milliseconds of an add and a del, the least of three.
take_time() {
    local i start took
    TIME=
    for ((i = 0; i < 3; i++)); do
        start=${EPOCHREALTIME/./}
        "$UBLKD" add loop file="$UBLK_TEST_DIR/own" --number "$number" >/dev/null || fail "add"
        udevadm settle
        "$UBLKD" del "$number" || fail "del"
        took=$(((${EPOCHREALTIME/./} - start) / 1000))
        if [ -z "$TIME" ] || [ "$took" -lt "$TIME" ]; then
            TIME=$took
        fi
    done
}

disks=0
# Until there are so many: have COUNT
have() {
    local dev
    for (( ; disks < $1; disks++)); do
        truncate -s 1M "$UBLK_TEST_DIR/disk$disks"
        dev=$("$UBLKD" add loop file="$UBLK_TEST_DIR/disk$disks" --depth 1) || fail "add of disk $disks"
        on_exit forget_dev "$dev"
    done
    udevadm settle
}

truncate -s 1M "$UBLK_TEST_DIR/own"
have "$few"
count_calls
add_before=$ADD del_before=$DEL
take_time
time_before=$TIME
have "$many"
count_calls
take_time
figure "calls on files with $few and $many disks: add $add_before and $ADD, del $del_before and $DEL"
figure "add and del take $((TIME * 100 / time_before)) % of the time"
[ "$DEL" -gt 5 ] || fail "the calls of del were not counted"
[ "$ADD" -gt 5 ] || fail "the calls of add were not counted"
[ $((ADD - add_before)) -le "$tolerance" ] || fail "add: $ADD calls with $many disks, $add_before with $few"
[ $((DEL - del_before)) -le "$tolerance" ] || fail "del: $DEL calls with $many disks, $del_before with $few"
start=$EPOCHSECONDS
"$UBLKD" del --all || fail "del --all"
figure "del --all of $many disks took $((EPOCHSECONDS - start)) s"
expect_nothing_left
