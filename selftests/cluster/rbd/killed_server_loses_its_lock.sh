#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server that is killed while fio writes and verifies is replaced, and fio sees no error: the next one
# takes the dead one's exclusive lock over, and the cluster shuts the dead one out.
# timeout: 400
source "$(dirname "$0")/../../lib.sh"
source "$(dirname "$0")/../../lib/io.sh"
source "$(dirname "$0")/../../lib/cluster.sh"
require_feature USER_RECOVERY_REISSUE

make_rbd_image disk 64M
dev=$(add_dev rbd image=disk conf="$CEPH_CONF" --recovery reissue)
fio_verify_on "$dev" --direct=1 --bsrange=4k-64k --size=2M &
load=$!
wait_until 120 requests_done_at_least "$dev" 100 || fail "fio does not begin"
dead=$(rbd_lock_owner disk)
[ -n "$dead" ] || fail "the disk is served without the lock"
kill_server "$dev"
run_expect 0 ublkd recover "$dev"
done_before=$(requests_done "$dev")
wait_until 120 requests_done_at_least "$dev" $((done_before + 100)) || fail "fio stands still"
owner=$(rbd_lock_owner disk)
[ -n "$owner" ] || fail "nobody has the lock"
[ "$owner" != "$dead" ] || fail "the lock is still that of $dead"
ceph osd blocklist ls 2>&1 | grep -qF "$dead" || fail "$dead is not shut out"
fio_verify_ends "$load"
del_dev "$dev"
[ -z "$(rbd_lock_owner disk)" ] || fail "the lock was not given back"
