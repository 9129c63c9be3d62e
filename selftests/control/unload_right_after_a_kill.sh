#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The module is unloaded in the very moment in which a server dies under load: it goes when all that
# the death leaves to be done is done, not before and not never.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

needs_module
# Tried again at once: it is refused as long as somebody has the device or the disk open.
unload_as_soon_as_possible() {
    local deadline=$((SECONDS + 20))
    until rmmod_quietly; do
        [ "$SECONDS" -lt "$deadline" ] || fail "the module does not unload: $(rmmod ublk_drv 2>&1)"
    done
}

on_exit load_module
for _ in {1..8}; do
    dev=$(add_dev ram size=16M --queues 2)
    # Ends by an error, with the disk.
    fio --name=load --filename="$dev" --rw=randrw --bs=4k --direct=1 --ioengine=libaio \
        --iodepth=16 --time_based --runtime=60 >"$UBLK_TEST_DIR/fio" 2>&1 &
    load=$!
    wait_until 20 requests_done_at_least "$dev" 100 || fail "no I/O: $(cat "$UBLK_TEST_DIR/fio")"
    kill -KILL "$(server_pid "$dev")"
    unload_as_soon_as_possible
    finishes_within 20 "$load" || fail "the load does not end"
    [ -z "$(find /dev -name "ublk[bc]*")" ] || fail "left: $(find /dev -name "ublk[bc]*")"
    load_module
done
rm -f /run/ublkd/*
