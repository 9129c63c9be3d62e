#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mirror verifies while one of its legs fails and is left, keeps that through a server that is killed,
# copies to the leg only when it is back, also through servers that are killed meanwhile, and then both legs
# are the same. Legs that were used without each other make no disk until somebody says who is right.
# timeout: 300
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature USER_RECOVERY_REISSUE

a=$(make_image a 33M)
b=$(make_image b 33M)
# The second one fails writes, but only so many.
legs=(--child "loop file=$a" --child "loop file=$b | error:op=write,from=9M,to=17M,count=1")
whole=(--child "loop file=$a" --child "loop file=$b")

log_of() {
    echo "${UBLKD_STATE_DIR:-/run/ublkd}/$(dev_id "$1").log"
}
log_tells() {
    grep -q "$2" "$(log_of "$1")"
}
wait_for_log() {
    wait_until 60 log_tells "$1" "$2" || fail "no '$2' in the log: $(cat "$(log_of "$1")")"
}
expect_equal_legs() {
    cmp --ignore-initial=1M "$a" "$b" || fail "$1: the legs differ"
}

# Slow enough for a server to tell of it in its log, and to be killed meanwhile.
slow=resync-rate=8M
dev=$(add_dev mirror "${legs[@]}" chunk=64K settle=100ms "$slow" --recovery reissue)
[ "$(blockdev --getsize64 "$dev")" -eq $((32 << 20)) ] || fail "it has $(blockdev --getsize64 "$dev") bytes"
wait_for_log "$dev" 'child 1.* has caught up'
run_expect 0 ublkd show "$dev"
grep -qE "^stack +mirror .*resync-rate=8M.*$" <<<"$OUT" || fail "show: $OUT"
grep -qE "^ +0: loop#1 .*file=$a" <<<"$OUT" || fail "show: $OUT"
grep -qE "^ +1: error .*op=write" <<<"$OUT" || fail "show: $OUT"
run_expect 0 ublkd command "$dev" legs
grep -qE "^child 1 +in sync" <<<"$OUT" || fail "legs: $OUT"
# Each leg is claimed.
expect_error 4 "ublkb" add loop file="$b"

# It fails in the midst of this.
fio_verify "$dev" --direct=1 --bsrange=512-64k --size=16M --randseed=7
wait_for_log "$dev" 'child 1.*the disk goes on without it'
dd if="$dev" of=/dev/null bs=1M iflag=direct status=none || fail "it cannot be read"
! cmp -s --ignore-initial=1M "$a" "$b" || fail "a leg that has failed is still written to"

# Its server is killed as well: the next one knows that the leg is stale.
kill_server "$dev"
run_expect 0 ublkd recover "$dev"
[[ $ERR =~ child\ 1.*\ is\ catching\ up ]] || fail "a stale leg is believed: $ERR"
del_dev "$dev"

# The leg is mended and comes back, while the server dies again and again, under load.
dev=$(add_dev mirror "${whole[@]}" settle=100ms "$slow" --recovery reissue)
fio_verify_on "$dev" --direct=1 --bsrange=4k-64k --size=16M --offset=16M &
load=$!
for _ in 1 2 3; do
    kill_server "$dev"
    run_expect 0 ublkd recover "$dev"
    [[ $ERR =~ child\ 1.*\ is\ catching\ up ]] || fail "the leg does not come back: $ERR"
done
wait_for_log "$dev" 'child 1.* has caught up'
fio_verify_ends "$load"
del_dev "$dev"
expect_equal_legs "after a resync"

# Without one of them, by hand; each time the other.
for children in "--child|loop file=$a|--child|missing" "--child|missing|--child|loop file=$b"; do
    IFS='|' read -ra words <<<"$children"
    dev=$(add_dev mirror "${words[@]}")
    printf '%s' "$children" | dd of="$dev" bs=4k conv=fsync,sync status=none
    del_dev "$dev"
done
before=$(sha256sum "$a" "$b")
expect_error 5 "keep=0 or keep=1" add mirror "${whole[@]}"
[ "$(sha256sum "$a" "$b")" = "$before" ] || fail "what was refused has changed a leg"
dev=$(add_dev mirror keep=1 "$slow" "${whole[@]}")
[ "$(dd if="$dev" bs=4k count=1 iflag=direct status=none | head -c 7)" = --child ] || fail "nothing there"
wait_for_log "$dev" 'child 0.* has caught up'
del_dev "$dev"
expect_equal_legs "after keep=1"

expect_error 1 "stands on 2 to 8" add mirror --child "loop file=$a"
expect_error 2 "mirror: child 1: loop: " add mirror --child "loop file=$a" --child "loop file=$a.nowhere"
expect_error 2 "mirror: child 0: " add mirror --child "lop file=$a" --child "loop file=$b"
expect_error 5 "in their order" add mirror --child "loop file=$b" --child "loop file=$a"
expect_nothing_left
