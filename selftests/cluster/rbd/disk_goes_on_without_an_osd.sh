#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An OSD that is killed while fio writes and verifies is nobody's error: I/O goes on with those that are
# left, and what was written is there.
# timeout: 400
source "$(dirname "$0")/../../lib.sh"
source "$(dirname "$0")/../../lib/io.sh"
source "$(dirname "$0")/../../lib/cluster.sh"

make_rbd_image disk 64M
dev=$(add_dev rbd image=disk conf="$CEPH_CONF")
fio_verify_on "$dev" --direct=1 --bsrange=4k-64k --size=2M &
load=$!
wait_until 120 requests_done_at_least "$dev" 100 || fail "fio does not begin"
host_does kill osd.1
done_before=$(requests_done "$dev")
wait_until 120 requests_done_at_least "$dev" $((done_before + 300)) || fail "fio stands still"
fio_verify_ends "$load"
host_does revive osd.1
fio_verify "$dev" --direct=1 --bsrange=512-64k --size=2M
del_dev "$dev"
