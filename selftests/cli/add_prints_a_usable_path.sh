#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# add prints the path, and nothing else, when the disk can be used by the very next command; what it
# leaves running holds nothing of its caller's.
# timeout: 90
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

for _ in {1..5}; do
    run_expect 0 ublkd add ram size=1M
    [[ $OUT =~ ^/dev/ublkb[0-9]+$ ]] || fail "it printed '$OUT'"
    [ -z "$ERR" ] || fail "it complained: $ERR"
    dd if=/dev/urandom of="$OUT" bs=4k count=4 oflag=direct status=none || fail "$OUT is not usable"
    [ "$(ublkd show "$OUT" --json | jq -r .state)" = live ] || fail "$OUT is not live"
    del_dev "$OUT"
done

run_expect 0 ublkd add ram size=1M --number 3 --json
jq -e '.schema == 1 and .device == "/dev/ublkb3" and .id == 3 and .size == 1048576' <<<"$OUT" \
    >/dev/null || fail "unexpected: $OUT"
server=$(jq -r .pid <<<"$OUT")
[ "$server" = "$(server_pid 3)" ] || fail "add and show name different servers"
[ "$(readlink "/proc/$server/cwd")" = / ] || fail "its working directory is $(readlink "/proc/$server/cwd")"
[ "$(readlink "/proc/$server/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] ||
    fail "it shares our mount namespace"
[ "$(ps -o sid= -p "$server" | tr -d ' ')" = "$server" ] || fail "it has no session of its own"
for fd in 0 1 2; do
    target=$(readlink "/proc/$server/fd/$fd")
    case $target in
    /dev/null | /run/ublkd/3.log) ;;
    *) fail "its descriptor $fd is $target" ;;
    esac
done
! readlink "/proc/$server/fd/"* | grep -q "$UBLK_TEST_DIR" || fail "it holds files of its caller"
del_dev /dev/ublkb3

# A reader of its output is not kept waiting by the server.
dev=$(timeout 20 ublkd add null | cat) || fail "the pipe stays open"
del_dev "$dev"
# Its caller may have closed everything.
status=0
ublkd add null --number 3 <&- >&- 2>&- || status=$?
case $status in
0) del_dev /dev/ublkb3 ;;
5) ! dev_exists /dev/ublkb3 || fail "add failed but left the device" ;;
*) fail "status $status without standard descriptors" ;;
esac
