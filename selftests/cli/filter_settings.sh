#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ublkd filter changes what a filter of a disk in use does, at once, and for the next server as well; bad
# words change nothing. Of several filters of a name one has to be named. Requests that wait hear of it.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature QUIESCE

reads() {
    dd if="$dev" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null
}

shown() {
    ublkd show "$dev" --json | jq -r --arg layer "$1" --arg key "$2" \
        '.stack[] | select(.layer == $layer) | .options[$key] // "none"'
}

expect_shown() {
    [ "$(shown "$1" "$2")" = "$3" ] || fail "show has $2=$(shown "$1" "$2") of $1, not $3"
}

image=$(make_image disk 8M)
dev=$(add_dev loop file="$image" --recovery queue --filter error:count=0 --filter delay \
    --filter error:op=write,errno=ENOSPC,count=0 --filter readonly)
reads || fail "it does not even read"

# At once, for the named one only, and told as it is then.
run_expect 0 ublkd filter "$dev" error#1 count=1 op=read
grep -qE '^count +1$' <<<"$OUT" || fail "it tells: $OUT"
! reads || fail "the change has no effect"
reads || fail "it fails more than once"
run_expect 0 ublkd filter "$dev" error#2
grep -qE '^count +0$' <<<"$OUT" || fail "the other one has changed, too: $OUT"
run_expect 0 ublkd filter "$dev" delay read=10ms write=20ms --json
jq -e '.settings == {read: "10ms", write: "20ms", flush: null, trim: null}' <<<"$OUT" >/dev/null ||
    fail "JSON: $OUT"
run_expect 0 ublkd filter "$dev" delay write=
expect_shown delay read 10ms
expect_shown delay write none
expect_shown 'error#1' count 1

# Nonsense is refused and changes nothing.
before=$(ublkd show "$dev" --json | jq -c .stack)
expect_error 1 'error#1, error#2' filter "$dev" error count=1
expect_error 1 'delay: option read=fast' filter "$dev" delay write=1ms read=fast
expect_error 1 'unknown option colour' filter "$dev" delay colour=red
expect_error 1 'errno=EVIL' filter "$dev" 'error#1' op=write errno=EVIL
expect_error 1 'this disk has error#1, delay, error#2, readonly, loop' filter "$dev" rate bytes=1M
expect_error 1 'readonly' filter "$dev" readonly off=yes
expect_error 1 'cannot be changed' filter "$dev" loop direct=no
expect_error 2 '' filter 99 delay
expect_error 1 'ublkd filter' command "$dev" delay read=1ms
expect_error 1 'no such command' command "$dev" rejoin
after=$(ublkd show "$dev" --json | jq -c .stack)
[ "$before" = "$after" ] || fail "something has changed: $(diff <(echo "$before") <(echo "$after"))"

# The next server has it, after a death as well.
run_expect 0 ublkd quiesce "$dev"
expect_error 4 'ublkd recover' filter "$dev" delay
run_expect 0 ublkd recover "$dev"
run_expect 0 ublkd filter "$dev" delay
grep -qE '^read +10ms$' <<<"$OUT" || fail "recovered with: $OUT"
kill_server "$dev"
run_expect 0 ublkd recover "$dev"
run_expect 0 ublkd filter "$dev" delay read=
run_expect 0 ublkd filter "$dev" error#1 count=0 # which began anew with the server
reads || fail "it does not read any more"
del_dev "$dev"

# A request that waits for an hour goes on when nobody wants that any more.
dev=$(add_dev ram size=8M --filter delay --filter rate:requests=1000)
run_expect 0 ublkd filter "$dev" delay read=3600s
reads &
reader=$!
wait_until 10 in_flight_at_least "$dev" 1 || fail "nothing waits"
run_expect 0 ublkd filter "$dev" delay read=0ms
finishes_within 20 "$reader" || fail "the request waits on"
[ "$STATUS" -eq 0 ] || fail "the request has failed"

# Nor does it hold up the end of the disk.
run_expect 0 ublkd filter "$dev" delay read=3600s
reads &
reader=$!
wait_until 10 in_flight_at_least "$dev" 1 || fail "nothing waits"
run_expect 0 timeout 20 ublkd del --force "$dev"
finishes_within 20 "$reader" || fail "the request waits on"
expect_nothing_left
