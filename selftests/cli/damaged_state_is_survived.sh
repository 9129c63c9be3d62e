#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# State files that are damaged, lie or are missing do no harm: the driver is asked first, and nobody
# else's process is touched.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

sleep 1000 &
innocent=$!
dev=$(add_dev null --number 3)
server=$(server_pid "$dev")
state=/run/ublkd/3.json
jq --argjson pid "$innocent" '.pid = $pid' "$state" >"$UBLK_TEST_DIR/lie"
cp "$UBLK_TEST_DIR/lie" "$state"
run_expect 0 ublkd list
run_expect 0 ublkd show 3
del_dev "$dev"
! process_is_gone "$innocent" || fail "an innocent process was killed"
wait_until 5 process_is_gone "$server" || fail "the server is still there"
rm -f "$state"

for damage in "" "{" "[]" '{"schema":1}' '{"schema":2,"id":3}'; do
    dev=$(add_dev null --number 3)
    printf '%s' "$damage" >"$state"
    run_expect 0 ublkd list
    run_expect 0 ublkd show 3
    del_dev "$dev"
    [ ! -e "$state" ] || fail "the state file '$damage' stays"
done

# Without any.
dev=$(add_dev null --number 3)
rm "$state"
run_expect 0 ublkd list
del_dev "$dev"
kill "$innocent"
finishes_within 5 "$innocent" || fail "our own process hangs"
