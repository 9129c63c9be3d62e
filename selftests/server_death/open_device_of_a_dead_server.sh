#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A device that a program has open when its server dies gives errors at once, is shown without a
# server, is not deleted under it without --force, and can be once it is closed.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

dev=$(add_dev ram size=16M --number 6)
exec {open}<"$dev"
kill_server "$dev"
run_expect 1 timeout 5 dd if="/proc/self/fd/$open" of=/dev/null bs=4k count=1 iflag=direct
has_no_server() {
    ublkd show "$dev" --json | jq -e '.server.alive == false' >/dev/null
}
wait_until 5 has_no_server || fail "show believes in a server: $(ublkd show "$dev")"
run_expect 4 ublkd del "$dev"
[[ $ERR == *"process $$ "* ]] || fail "it does not say who has it open: $ERR"
# Its number is taken as long as it is there.
run_expect 4 ublkd add ram size=16M --number 6
exec {open}<&-
del_dev "$dev"
dev=$(add_dev ram size=16M --number 6)
del_dev "$dev"
