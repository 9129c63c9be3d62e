#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk whose server is sent away and replaced, again and again, while fio writes and verifies on it:
# fio waits meanwhile but sees no error and no wrong data. The old server has exited when quiesce
# returns, its record stays, and the next one has the same target and serves as the first did.
# modes: queue reissue queue+user queue+zero
# timeout: 300
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature QUIESCE
# A server cannot tell that these will never come back from requests that are on their way.
[ "${UBLK_DRIVER:-ours}" = ours ] || skip "this driver keeps commands that are sent while it quiesces"

image=$(make_image disk 64M)
dev=$(add_dev loop file="$image" --recovery "$MODE" --queues 2 --depth 32)
show=$(ublkd show "$dev" --json)
[ "$(jq -r .recovery <<<"$show")" = "$MODE" ] || fail "another kind of recovery: $show"
fio_verify_on "$dev" --direct=1 --bsrange=512-64k --size=8M --numjobs=2 --offset_increment=16M \
    --cpus_allowed=0-1 --cpus_allowed_policy=split &
load=$!

# What does not change with the server.
constant() {
    ublkd show "$dev" --json |
        jq -S 'del(.server, .users, .state, .copy.reason)'
}
before=$(constant)
for round in 1 2 3 4 5; do
    done_before=$(requests_done "$dev")
    wait_until 60 requests_done_at_least "$dev" $((done_before + 100)) || fail "$round: fio stands still"
    old=$(server_pid "$dev")
    run_expect 0 ublkd quiesce "$dev"
    [ -z "$OUT$ERR" ] || fail "quiesce says something: $OUT$ERR"
    process_is_gone "$old" || fail "$round: server $old is still there"
    ublkd list --json | jq -e --arg dev "$dev" --arg recovery "$MODE" '.devices[]
        | select(.device == $dev) | .state == "quiesced" and .pid == null
        and .target == "loop" and .recovery == $recovery' >/dev/null ||
        fail "$round: list: $(ublkd list)"
    run_expect 0 ublkd recover "$dev"
    [ "$OUT" = "$dev" ] || fail "recover printed: $OUT $ERR"
    [ "$(server_pid "$dev")" != "$old" ] || fail "$round: no new server"
    [ "$(ublkd show "$dev" --json | jq -r .state)" = live ] || fail "$round: not live again"
    now=$(constant)
    [ "$now" = "$before" ] || fail "$round: $(diff <(echo "$before") <(echo "$now"))"
done
fio_verify_ends "$load"

# Whoever takes it over serves what there was, and can end it like any other.
del_dev "$dev"
expect_nothing_left
