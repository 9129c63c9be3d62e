#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An idle null device with one queue of depth 128 has a server of less than 8 MB that does not run.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

dev=$(add_dev null --queues 1 --depth 128)
server=$(server_pid "$dev")
# Those that look at a new device have ended, and its last open file is closed.
udevadm settle
resident=$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$server/status")
echo "# resident: $resident KiB, threads: $(find "/proc/$server/task" -mindepth 1 -maxdepth 1 | wc -l)"
[ "$((resident * 1024))" -lt 8000000 ] || fail "the server has $resident KiB resident"

# Nanoseconds on a processor, and how often, for each thread of the server. Not for the thread that
# io_uring keeps for a task once it has sent a control command: the kernel wakes it every 5 seconds to
# see whether it is still needed (0.3 ms), and only the end of the task ends it.
processor_time() {
    local task
    for task in /proc/"$server"/task/*; do
        case $(<"$task/comm") in
        iou-wrk-*) ;;
        *) grep -H . "$task/schedstat" | awk '{ print $1, $3 }' ;;
        esac
    done
}
before=$(processor_time)
requests=$(requests_done "$dev")
# The measured time, not a wait for anything.
sleep 5
after=$(processor_time)
[ "$(requests_done "$dev")" -eq "$requests" ] || fail "somebody used the device"
[ "$before" = "$after" ] || fail "the idle server ran: $(diff <(echo "$before") <(echo "$after"))"
del_dev "$dev"
