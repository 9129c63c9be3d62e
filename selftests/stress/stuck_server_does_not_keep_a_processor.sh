#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A processor can be taken offline while a server does not answer what came from it: switching it off, and
# thus suspending the machine, does not wait for a server.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

processor=/sys/devices/system/cpu/cpu1/online
[ -w "$processor" ] || skip "there is no processor to take away"
dev=$(add_dev ram size=64M --queues 2)
server=$(server_pid "$dev")
on_exit eval "kill -CONT $server 2>/dev/null || :"
kill -STOP "$server"
taskset -c 1 dd if=/dev/zero of="$dev" bs=4k count=1 oflag=direct status=none &
writer=$!
wait_until 10 in_flight_at_least "$dev" 1 || fail "no request is out"

on_exit eval "echo 1 >$processor"
echo 0 >"$processor" &
switch=$!
finishes_within 10 "$switch" || fail "the processor waits for the server"
[ "$STATUS" -eq 0 ] || fail "the processor does not go"
echo 1 >"$processor"
kill -CONT "$server"
finishes_within 20 "$writer" || fail "the request is lost"
[ "$STATUS" -eq 0 ] || fail "the request failed"
del_dev "$dev"
