#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server that is stopped for a while under load delays its requests and loses none.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

dev=$(add_dev ram size=64M --queues 2)
server=$(server_pid "$dev")
fio_verify "$dev" --direct=1 --bsrange=512-64k --numjobs=2 --size=16M --offset_increment=16M \
    --thread >"$UBLK_TEST_DIR/fio.log" 2>&1 &
load=$!
wait_until 20 requests_done_at_least "$dev" 100 || fail "fio does not start"
for _ in 1 2 3; do
    kill -STOP "$server"
    wait_until 10 in_flight_at_least "$dev" 16 || break # fio has ended
    # How long a server may be away is up to it; longer than the driver looks for dead ones.
    sleep 1
    ! process_is_gone "$load" || fail "fio ended while the server was stopped"
    kill -CONT "$server"
done
kill -CONT "$server"
wait "$load" || fail "fio saw an error: $(tail -n 20 "$UBLK_TEST_DIR/fio.log")"
del_dev "$dev"
