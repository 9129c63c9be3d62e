#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# fio verifies a disk of an NBD server while that server is killed, told to end and started again, and while
# ours is killed and replaced: nobody sees an error. The export is one disk's at a time.
# timeout: 300
# full-timeout: 3600
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
source "$(dirname "$0")/../lib/stress.sh"
source "$(dirname "$0")/../lib/nbd.sh"
require_feature USER_RECOVERY_REISSUE

deaths=$(amount 2 50)
image=$(make_image disk 32M)
start_nbdkit file "$image"
dev=$(add_dev nbd uri="$NBD_URI" --queues 2 --recovery reissue)
log=${UBLKD_STATE_DIR:-/run/ublkd}/$(dev_id "$dev").log
expect_error 4 "$dev.*ublkd del" add nbd uri="$NBD_URI"

more_is_done() {
    wait_until 60 requests_done_at_least "$dev" $(($(requests_done "$dev") + 200)) ||
        fail "no I/O: $(<"$log")"
}

fio_verify_on "$dev" --direct=1 --bsrange=4k-64k --size=8M --offset_increment=8M --numjobs=2 &
load=$!
for ((i = 0; i < deaths; i++)); do
    for signal in KILL TERM; do
        more_is_done
        stop_nbdkit "$signal"
        start_nbdkit file "$image"
    done
    more_is_done
    grep -q "is back after" "$log" || fail "the log does not tell: $(<"$log")"
    kill_server "$dev"
    expect_error 4 "$dev.*ublkd recover" add nbd uri="$NBD_URI"
    run_expect 0 ublkd recover "$dev"
done
more_is_done
fio_verify_ends "$load"
figure "$deaths deaths of ours, $((2 * deaths)) of nbdkit"

# The file grows, and nbdkit tells each new connection.
truncate -s 64M "$image"
run_expect 0 ublkd resize "$dev" auto
[ "$(blockdev --getsize64 "$dev")" -eq $((64 << 20)) ] || fail "it does not grow"
fio_verify "$dev" --direct=1 --bs=64k --offset=32M --size=32M
del_dev "$dev"
stop_nbdkit KILL
