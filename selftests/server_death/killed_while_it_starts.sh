#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `ublkd add` and the server it starts are killed at random moments: whatever device that leaves can
# be listed and deleted, and nothing else is left.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

seed=${UBLK_TEST_SEED:-$(date +%s)}
echo "# seed $seed (repeat with UBLK_TEST_SEED=$seed)"
RANDOM=$seed
image=$(make_image disk 16M)
no_device() {
    [ -z "$(ls /sys/class/ublk-char)" ]
}
for round in {1..20}; do
    setsid ublkd add loop file="$image" --queues 2 >"$UBLK_TEST_DIR/out" 2>"$UBLK_TEST_DIR/err" &
    add=$!
    delay=$((RANDOM % 400))
    sleep "$(printf '0.%03d' "$delay")"
    # Both, as far as they have got.
    pids=$(pgrep -x ublkd || :)
    # shellcheck disable=SC2086 # words
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || :
    finishes_within 10 "$add" || fail "round $round: add is not dead"
    ublkd list >"$UBLK_TEST_DIR/list" || fail "round $round: list fails"
    echo "# round $round: killed after $delay ms ($(pgrep -cx ublkd || :) left), $(tail -n +2 "$UBLK_TEST_DIR/list")"
    pids=$(pgrep -x ublkd || :)
    # shellcheck disable=SC2086 # words
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || :
    run_expect 0 ublkd del --all
    wait_until 10 no_device || fail "round $round: devices are left: $(what_is_there)"
done
# The file is not locked by anybody.
dev=$(add_dev loop file="$image")
del_dev "$dev"
