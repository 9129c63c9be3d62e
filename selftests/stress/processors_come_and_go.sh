#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A processor goes offline and comes back, again and again, while data are verified through both queues of
# a disk and other devices come and go: no error, no wrong data, and nothing hangs.
# timeout: 400
# full-timeout: 7200
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"

processor=/sys/devices/system/cpu/cpu1/online
[ -w "$processor" ] || skip "there is no processor to take away"
times=$(amount 2 300)
on_exit eval "echo 1 >$processor"

# Devices come and go beside, until fio need not go on either.
churn() {
    local seed=$SEED
    until [ -e "$UBLK_TEST_DIR/.enough" ]; do
        seed=$((seed + 8))
        "$STRESS/churn" 2 8 "$seed" >"$UBLK_TEST_DIR/churn.log" 2>&1 ||
            fail "churn: $(<"$UBLK_TEST_DIR/churn.log")"
        echo 8 >>"$UBLK_TEST_DIR/churned"
    done
}

dev=$(add_dev ram size=64M --queues 2)
fio_verify_on "$dev" --bs=4k --direct=1 --numjobs=2 --thread --size=4M --offset_increment=4M &
writer=$!
churn &
churner=$!

# I/O goes on with one processor as with two.
switch_to() {
    echo "$1" >"$processor"
    wait_until 20 requests_done_at_least "$dev" $(($(requests_done "$dev") + 200)) ||
        fail "no I/O with the processor's switch at $1: $(<"$UBLK_TEST_DIR/fio.log")"
    if process_is_gone "$churner"; then
        fail "no device comes and goes with the processor's switch at $1"
    fi
}

for ((i = 0; i < times; i++)); do
    switch_to 0
    switch_to 1
done
touch "$UBLK_TEST_DIR/.enough"
finishes_within 120 "$churner" || fail "devices hang: $(<"$UBLK_TEST_DIR/churn.log")"
[ "$STATUS" -eq 0 ] || fail "not all devices came and went"
fio_verify_ends "$writer"
figure "a processor went and came $times times, with $(requests_done "$dev") requests and" \
    "$(awk '{ sum += $1 } END { print sum + 0 }' "$UBLK_TEST_DIR/churned") devices beside"
