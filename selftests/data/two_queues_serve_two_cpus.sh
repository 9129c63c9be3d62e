#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# With two queues, requests from each CPU are served by that CPU's queue and thread.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

[ "$(nproc)" -ge 2 ] || skip "needs two processors"
dev=$(add_dev null size=64M --queues 2)
server=$(server_pid "$dev")
queues=(/sys/block/"${dev##*/}"/mq/*)
[ "${#queues[@]}" -eq 2 ] || fail "${#queues[@]} queues instead of 2"

# How often each thread of the server has run.
runs() {
    local task
    for task in /proc/"$server"/task/*; do
        echo "${task##*/} $(cut -d ' ' -f 3 "$task/schedstat")"
    done
}
busiest() {
    join <(sort <<<"$before") <(runs | sort) | awk '{ print $3 - $2, $1 }' | sort -n | tail -n 1
}
for cpu in 0 1; do
    before=$(runs)
    taskset -c "$cpu" dd if="$dev" of=/dev/null bs=4k count=500 iflag=direct status=none
    read -r count thread < <(busiest)
    [ "$count" -ge 250 ] || fail "no thread has served CPU $cpu ($count runs)"
    [ "$(taskset -p -c "$thread" | sed 's/.*: //')" = "$cpu" ] ||
        fail "CPU $cpu was served by a thread of another: $(taskset -p -c "$thread")"
    [ "$thread" != "${previous:-}" ] || fail "one thread serves both"
    previous=$thread
done
del_dev "$dev"
