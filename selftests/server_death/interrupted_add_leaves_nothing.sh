#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# When `ublkd add` is interrupted or killed while its server starts, the server takes its device
# down again and leaves nothing: nobody would know its name.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

seed=${UBLK_TEST_SEED:-$(date +%s)}
echo "# seed $seed (repeat with UBLK_TEST_SEED=$seed)"
RANDOM=$seed
for signal in INT TERM KILL; do
    for round in {1..5}; do
        : >"$UBLK_TEST_DIR/out"
        # A background job of a shell ignores SIGINT; this one must not.
        env --default-signal=INT ublkd add ram size=16M >"$UBLK_TEST_DIR/out" 2>/dev/null &
        add=$!
        sleep "$(printf '0.%03d' $((RANDOM % 300)))"
        kill "-$signal" "$add" 2>/dev/null || : # it may have ended
        finishes_within 20 "$add" || fail "$signal: add does not end"
        dev=$(<"$UBLK_TEST_DIR/out")
        echo "# $signal $round: status $STATUS, printed '$dev'"
        if [ "$STATUS" -eq 0 ]; then
            del_dev "$dev"
        fi
        # Killed between its success and its exit, it has printed the name.
        if [ -n "$dev" ] && dev_exists "$dev"; then
            del_dev "$dev"
        fi
        expect_nothing_left
    done
done
