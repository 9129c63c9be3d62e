#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server that is killed while fio writes and verifies is replaced by ublkd recover, at once and again
# and again, and fio sees no error: what the dead one had is reissued.
# timeout: 300
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature USER_RECOVERY_REISSUE

image=$(make_image disk 64M)
dev=$(add_dev loop file="$image" --recovery reissue --queues 2 --depth 32)
fio_verify_on "$dev" --direct=1 --bsrange=512-64k --size=8M --numjobs=2 --offset_increment=16M &
load=$!
for round in 1 2 3 4 5; do
    done_before=$(requests_done "$dev")
    wait_until 60 requests_done_at_least "$dev" $((done_before + 100)) || fail "$round: fio stands still"
    kill -KILL "$(server_pid "$dev")"
    run_expect 0 ublkd recover "$dev" --json
    jq -e --arg dev "$dev" --argjson pid "$(server_pid "$dev")" '.device == $dev and .pid == $pid
        and .target == "loop" and .size == 67108864' <<<"$OUT" >/dev/null || fail "unexpected: $OUT"
done
fio_verify_ends "$load"
del_dev "$dev"
expect_nothing_left
