#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whoever adds or recovers a disk with little priority, small limits and ignored signals has a server
# like everybody's: it can write all of its file, and ends when it is told to.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# Runs ublkd as such a caller would.
as_a_poor_caller() (
    trap '' TERM INT XFSZ CHLD HUP
    umask 077
    ulimit -S -f 16 -n 40 -t 5 -l 8
    chrt --idle 0 ionice -c 3 nice -n 15 ublkd "$@"
)

# Nothing of it is the server's: expect_rich PID
expect_rich() {
    local process=/proc/$1 limit ignored
    for limit in 'Max file size' 'Max cpu time' 'Max locked memory' 'Max processes'; do
        grep -q "^$limit  *unlimited" "$process/limits" ||
            fail "$(grep "^$limit" "$process/limits")"
    done
    [ "$(awk '/^Max open files/ { print $4 }' "$process/limits")" -ge 1024 ] ||
        fail "$(grep '^Max open files' "$process/limits")"
    [ "$(ps -o ni= -p "$1" | tr -d ' ')" = 0 ] || fail "its nice value is $(ps -o ni= -p "$1")"
    [[ $(chrt --pid "$1") == *SCHED_OTHER* ]] || fail "$(chrt --pid "$1")"
    [[ $(ionice -p "$1") != *idle* ]] || fail "its I/O class is $(ionice -p "$1")"
    ignored=$((16#$(awk '/^SigIgn:/ { print $2 }' "$process/status")))
    # SIGPIPE and SIGXFSZ are errors of a write.
    [ "$ignored" -eq $(((1 << 12) | (1 << 24))) ] || fail "it ignores signals: $ignored"
    [ "$(awk '/^Umask:/ { print $2 }' "$process/status")" = 0022 ] ||
        fail "$(grep Umask "$process/status")"
}

write_all() {
    dd if=/dev/urandom of="$1" bs=1M count=16 oflag=direct conv=fsync status=none ||
        fail "the disk cannot be written"
}

image=$(make_image disk 16M)
dev=$(as_a_poor_caller add loop file="$image" --recovery queue) || fail "add fails"
on_exit forget_dev "$dev"
expect_rich "$(server_pid "$dev")"
write_all "$dev"

kill_server "$dev"
as_a_poor_caller recover "$dev" || fail "recover fails"
server=$(server_pid "$dev")
expect_rich "$server"
write_all "$dev"
run_expect 0 as_a_poor_caller resize "$dev" 20M
ublkd del "$dev" || fail "it is not deleted"
wait_until 10 process_is_gone "$server" || fail "the server does not end"
