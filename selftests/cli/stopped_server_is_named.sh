#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever waits in vain for a server says which process that is, what keeps it, and what helps.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

# A verb that needs the server times out: expect_blamed PATTERN VERB [ARGUMENT]...
expect_blamed() {
    local pattern=$1
    shift
    run_expect 7 ublkd "$@"
    echo "# $ERR"
    [[ $ERR =~ $pattern ]] || fail "ublkd $*: no '$pattern' in: $ERR"
}

dev=$(add_dev loop file="$(make_image disk 16M)" --recovery queue)
server=$(server_pid "$dev")
on_exit eval "kill -CONT $server 2>/dev/null || :"
kill -STOP "$server"
expect_blamed "process $server \(ublkd\) is stopped \(T\): kill -CONT $server" resize "$dev" 8M --shrink
expect_blamed "process $server \(ublkd\) is stopped \(T\): kill -CONT $server" stop "$dev"
kill -CONT "$server"
wait_until 30 process_is_gone "$server" || fail "the server does not end when it can"
expect_nothing_left

# A frozen cgroup looks like nothing at all from outside.
group=/sys/fs/cgroup/ublk-frozen
mkdir "$group"
on_exit rmdir "$group"
dev=$(add_dev null size=16M)
server=$(server_pid "$dev")
echo "$server" >"$group/cgroup.procs"
echo 1 >"$group/cgroup.freeze"
on_exit eval "echo 0 >$group/cgroup.freeze"
expect_blamed "process $server \(ublkd\) is frozen by its cgroup: echo 0 > $group/cgroup.freeze" stop "$dev"
echo 0 >"$group/cgroup.freeze"
wait_until 30 process_is_gone "$server" || fail "the server does not end when it can"
expect_nothing_left
