#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A user who locks what he can of /run/ublkd keeps nobody from making and deleting devices.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

# The process becomes that of somebody without rights.
becomes_nobody() {
    trap - ERR EXIT
    exec setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"
}

del_dev "$(add_dev null)"
for file in /run/ublkd /run/ublkd/.lock; do
    becomes_nobody flock --nonblock --no-fork "$file" sh -c 'echo locked; exec sleep 1000' >"$UBLK_TEST_DIR/locked" \
        2>"$UBLK_TEST_DIR/refused" &
    somebody=$!
    wait_until 10 grep -q . "$UBLK_TEST_DIR/locked" "$UBLK_TEST_DIR/refused" || fail "no answer"
    echo "# $file: $(cat "$UBLK_TEST_DIR/locked" "$UBLK_TEST_DIR/refused")"
    timeout 30 ublkd add null --number 5 >/dev/null || fail "add: $?"
    timeout 30 ublkd del 5 || fail "del: $?"
    kill "$somebody" 2>/dev/null || : # one who was refused has ended
    finishes_within 10 "$somebody" || fail "he stays"
done
grep -q denied "$UBLK_TEST_DIR/refused" || fail "he can open the lock: $(ls -l /run/ublkd/.lock)"
expect_nothing_left
