#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# While a disk has no server its I/O waits, or fails with --recovery=fail; list and show tell which, and
# recover makes the disk what it was. Deleting or stopping it ends what waits.
# modes: queue fail
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature QUIESCE

is_blocked() {
    grep -q '^State:[[:space:]]*D' "/proc/$1/status"
}
read_one() {
    exec dd if="$dev" of="$UBLK_TEST_DIR/$1" bs=64k count=1 iflag=direct status=none
}
# In the shell's own process, so that its state is dd's.
starts_to_wait() {
    read_one got &
    reader=$!
    wait_until 20 is_blocked "$reader" || fail "the reader does not wait"
}

noise=$(make_noise disk 16)
state=quiesced
[ "$MODE" = queue ] || state=fail_io
dev=$(add_dev loop file="$noise" --recovery "$MODE")
run_expect 0 ublkd quiesce "$dev" --json
jq -e --arg dev "$dev" --arg state "$state" '.device == $dev and .state == $state' <<<"$OUT" \
    >/dev/null || fail "unexpected: $OUT"
[ "$(ublkd show "$dev" --json | jq -r '.state, .recovery, .server.pid' | xargs)" = \
    "$state $MODE null" ] || fail "show: $(ublkd show "$dev")"
ublkd list | grep -qE "^$dev +- +loop +16M +$state +$MODE +-\$" || fail "list: $(ublkd list)"
# Sending away one who has left is nothing to do.
run_expect 0 ublkd quiesce "$dev"

if [ "$MODE" = queue ]; then
    starts_to_wait
else
    run_expect 1 dd if="$dev" of=/dev/null bs=64k count=1 iflag=direct
fi
run_expect 0 ublkd recover "$dev"
if [ "$MODE" = queue ]; then
    finishes_within 20 "$reader" || fail "the reader still waits"
    [ "$STATUS" -eq 0 ] || fail "the reader saw an error"
else
    (read_one got) || fail "it fails on"
fi
cmp -n 65536 "$noise" "$UBLK_TEST_DIR/got" || fail "wrong data"

for verb in del stop; do
    run_expect 0 ublkd quiesce "$dev"
    reader=
    end=("$verb" "$dev")
    if [ "$MODE" = queue ]; then
        starts_to_wait
        [ "$verb" = stop ] || run_expect 4 ublkd "${end[@]}"
        [ "$verb" = stop ] || end+=(--force)
    fi
    run_expect 0 ublkd "${end[@]}"
    if [ -n "$reader" ]; then
        finishes_within 20 "$reader" || fail "$verb: the reader still waits"
        [ "$STATUS" -ne 0 ] || fail "$verb: the reader got data from nowhere"
    fi
    expect_nothing_left
    dev=$(add_dev loop file="$noise" --recovery "$MODE")
done
