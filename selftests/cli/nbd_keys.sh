#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is wrong with the keys of nbd, or with the server, is one line that says what to do. Secrets stay in
# their files: no password on the command line, and no key in what others can read.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
source "$(dirname "$0")/../lib/nbd.sh"
require_program psktool

expect_error 1 "uri" add nbd
expect_error 1 "begin with nbd://" add nbd uri=/img
expect_error 1 "tls-psk=" add nbd uri=nbds://alice:secret@localhost/disk
[[ $OUT != *secret* ]] || fail "the password is shown: $OUT"
expect_error 1 "nbds://" add nbd uri=nbd://localhost/disk tls-username=alice
expect_error 1 "writethrough" add nbd uri="$NBD_URI" cache=unsafe
expect_error 5 "No such file" add nbd uri="$NBD_URI"
expect_error 2 "tls-psk=" add nbd uri=nbds://localhost/disk tls-psk="$UBLK_TEST_DIR/none"

psktool -u alice -p "$UBLK_TEST_DIR/psk" >"$UBLK_TEST_DIR/psktool.log" 2>&1 ||
    fail "psktool: $(<"$UBLK_TEST_DIR/psktool.log")"
key=$(cut -d : -f 2 "$UBLK_TEST_DIR/psk")
start_nbdkit --tls=require --tls-psk="$UBLK_TEST_DIR/psk" memory 8M
expect_error 5 . add nbd uri="$NBD_URI"
cd "$UBLK_TEST_DIR"
dev=$(add_dev nbd uri="${NBD_URI/nbd+/nbds+}" tls-psk=psk tls-username=alice --recovery queue)
cd /
fio_verify "$dev" --direct=1 --bs=4k --size=256k
state=${UBLKD_STATE_DIR:-/run/ublkd}/$(dev_id "$dev")
for place in "$state.json" "$state.log" "/proc/$(server_pid "$dev")/cmdline" \
    "/proc/$(server_pid "$dev")/environ"; do
    ! grep -qa "$key" "$place" || fail "the key is in $place"
done

# The keys are found again, although the server left the directory and its mounts.
stop_nbdkit KILL
start_nbdkit --tls=require --tls-psk="$UBLK_TEST_DIR/psk" memory 8M
fio_verify "$dev" --direct=1 --bs=4k --size=256k
kill_server "$dev"
run_expect 0 ublkd recover "$dev"
fio_verify "$dev" --direct=1 --bs=4k --size=256k
del_dev "$dev"
stop_nbdkit KILL
