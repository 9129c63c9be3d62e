#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Of several that recover a device at once one wins and serves, whatever becomes of the others.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature QUIESCE

dev=$(add_dev null --recovery queue)
for round in {1..6}; do
    ublkd quiesce "$dev" || fail "round $round: quiesce"
    recoveries=()
    for one in 1 2 3; do
        ublkd recover "$dev" >"$UBLK_TEST_DIR/out.$one" 2>"$UBLK_TEST_DIR/err.$one" &
        recoveries+=($!)
    done
    winners=0
    for recovery in "${recoveries[@]}"; do
        finishes_within 60 "$recovery" || fail "round $round: recover hangs"
        [ "$STATUS" -eq 0 ] && winners=$((winners + 1))
        [ "$STATUS" -eq 0 ] || [ "$STATUS" -eq 4 ] ||
            fail "round $round: status $STATUS: $(cat "$UBLK_TEST_DIR"/err.*)"
    done
    [ "$winners" -eq 1 ] || fail "round $round: $winners servers: $(cat "$UBLK_TEST_DIR"/err.*)"
    [ "$(ublkd show "$dev" --json | jq -r .state)" = live ] || fail "round $round: nobody serves"
    timeout 20 dd if="$dev" of=/dev/null bs=64k count=1 iflag=direct status=none ||
        fail "round $round: it does not serve"
done
del_dev "$dev"
expect_nothing_left
