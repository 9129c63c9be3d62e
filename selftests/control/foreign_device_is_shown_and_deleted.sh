#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A device that another program made with the library is listed, shown and deleted like ours; its
# server ends.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

hello=$(find "$UBLK_ROOT/build" -name hello_target -type f -perm -u+x | head -n 1)
[ -n "$hello" ] || fail "hello_target is not built"
: >"$UBLK_TEST_DIR/out"
"$hello" >"$UBLK_TEST_DIR/out" 2>&1 &
server=$!
wait_until 20 grep -q '^/dev/ublkb' "$UBLK_TEST_DIR/out" || fail "hello_target: $(cat "$UBLK_TEST_DIR/out")"
dev=$(<"$UBLK_TEST_DIR/out")
ublkd list | grep -q "^$dev " || fail "it is not listed: $(ublkd list)"
show=$(ublkd show "$dev" --json)
jq -e --argjson pid "$server" '.target == null and .server.pid == $pid and .server.alive' \
    <<<"$show" >/dev/null || fail "it is shown wrongly: $show"
fio_verify "$dev" --direct=1 --bsrange=512-64k --size=8M

exec {open}<"$dev"
run_expect 4 ublkd del "$dev"
exec {open}<&-
del_dev "$dev"
finishes_within 10 "$server" || fail "the foreign server does not end"
expect_nothing_left
