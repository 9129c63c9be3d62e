#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What ublkd tells of an image: who has it, what is wrong with the words, its size when others change that;
# and that no key is anywhere but in its file.
# timeout: 400
source "$(dirname "$0")/../../lib.sh"
source "$(dirname "$0")/../../lib/io.sh"
source "$(dirname "$0")/../../lib/cli.sh"
source "$(dirname "$0")/../../lib/cluster.sh"

disk_has() {
    [ "$(blockdev --getsize64 "$1")" = "$2" ]
}

make_rbd_image disk 64M
dev=$(add_dev rbd image=disk conf="$CEPH_CONF")
expect_limit "$dev" optimal_io_size 4194304
expect_limit "$dev" discard_granularity 65536
expect_limit "$dev" fua 1

expect_error 4 'lock rbd/disk' add rbd image=disk conf="$CEPH_CONF"
expect_error 5 'image=other' add rbd image=other conf="$CEPH_CONF"
expect_error 5 'pool=other' add rbd image=disk pool=other conf="$CEPH_CONF"

rbd --no-progress resize disk --size 96M
wait_until 60 disk_has "$dev" $((96 << 20)) || fail "the disk does not grow with its image"
run_expect 0 ublkd resize "$dev" 128M
disk_has "$dev" $((128 << 20)) || fail "the disk has not grown"
[ "$(rbd info disk --format json | jq .size)" = $((128 << 20)) ] || fail "the image has not grown"

key=$(sed -n 's/^[[:space:]]*key = //p' "$UBLK_TEST_CEPH/keyring")
[ -n "$key" ] || fail "the keyring has no key"
server=$(server_pid "$dev")
for place in "/proc/$server/cmdline" "/proc/$server/environ" /run/ublkd/*; do
    ! grep -qaF "$key" "$place" || fail "the key is in $place"
done

rbd --no-progress snap create disk@then
on_exit eval "rbd --no-progress snap purge disk >/dev/null 2>&1 || :"
snapshot=$(add_dev rbd image=disk snapshot=then conf="$CEPH_CONF")
[ "$(blockdev --getro "$snapshot")" = 1 ] || fail "a snapshot can be written"
del_dev "$snapshot"
del_dev "$dev"
