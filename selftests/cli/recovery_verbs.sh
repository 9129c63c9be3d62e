#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# quiesce and recover where they make no sense: one line that says what to do, and nothing changes; a
# device that cannot be recovered goes on waiting until it can.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature QUIESCE

expect_error 1 "off, queue, reissue, fail" add null --recovery on
expect_error 1 "goes with its server" add ram size=8M --recovery queue
for verb in quiesce recover stop; do
    expect_error 2 "ublkd list" "$verb" 77
    expect_error 1 . "$verb"
    expect_error 1 "/dev/ublkbN" "$verb" nonsense
done

dev=$(add_dev null)
expect_error 1 "ublkd help add" quiesce "$dev"
expect_error 1 "ublkd help add" recover "$dev"
del_dev "$dev"

image=$(make_image disk 8M)
dev=$(add_dev loop file="$image" --recovery queue)
id=$(dev_id "$dev")
expect_error 1 "1 to 3600" quiesce "$dev" --timeout 0
expect_error 4 "served by process .* target loop" recover "$dev"
run_expect 0 ublkd quiesce "$dev"
still_quiesced() {
    [ "$(ublkd show "$dev" --json | jq -r .state)" = quiesced ] || fail "$1: it waits no more"
}
expect_error 4 "ublkd recover" resize "$dev" 16M

truncate -s 4M "$image"
expect_error 5 "shorter than the disk" recover "$dev"
still_quiesced "short file"
mv "$image" "$image.gone"
expect_error 2 "check the path" recover "$dev"
still_quiesced "no file"
mv "$image.gone" "$image"
truncate -s 8M "$image"
mv "/run/ublkd/$id.json" "$UBLK_TEST_DIR/record"
expect_error 2 "no record of it" recover "$dev"
[ "$(ublkd list --json | jq -r '.devices[].target')" = null ] || fail "a target without a record"
# A record of another device of the same number is no better.
jq '.mark = 12345' "$UBLK_TEST_DIR/record" >"/run/ublkd/$id.json"
expect_error 2 "no record of it" recover "$dev"
still_quiesced "no record"
mv "$UBLK_TEST_DIR/record" "/run/ublkd/$id.json"
run_expect 0 ublkd recover "$dev"
dd if="$dev" of=/dev/null bs=64k count=1 iflag=direct status=none || fail "it does not serve"
del_dev "$dev"
expect_nothing_left

# recover waits for the kernel to close what a server that was killed had open, but not for ever.
dev=$(add_dev loop file="$image" --recovery queue)
run_expect 0 ublkd quiesce "$dev"
exec {lock}<"$image"
wait_until 10 flock --nonblock "$lock" || fail "the old server keeps its file"
expect_error 4 "another server uses it" recover "$dev"
still_quiesced "locked file"
exec {lock}<&-
run_expect 0 ublkd recover "$dev"
del_dev "$dev"
expect_nothing_left

# In the foreground it ends as add --foreground does.
dev=$(add_dev loop file="$image" --recovery queue)
run_expect 0 ublkd quiesce "$dev"
ublkd recover --foreground "$dev" >"$UBLK_TEST_DIR/out" &
server=$!
wait_until 20 grep -qx "$dev" "$UBLK_TEST_DIR/out" || fail "no output"
[ "$(server_pid "$dev")" -eq "$server" ] || fail "another process serves"
kill -INT "$server"
finishes_within 20 "$server" || fail "Ctrl-C does not end it"
expect_nothing_left
