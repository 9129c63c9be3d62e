#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Many devices are there at the same time, each with a server of its own, and all keep their data while all of
# them are used; then half of the servers are killed at once, which the other half does not notice.
# timeout: 300
# full-timeout: 1800
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"

count=$(amount 16 64)
devices=()
for ((i = 0; i < count; i++)); do
    devices+=("$(add_dev ram size=4M --depth 8 --max-io 65536)")
done
[ "$(ublkd list --json | jq '.devices | length')" -eq "$count" ] || fail "not all are in the list"

# fio_on FIRST COUNT: writes and verifies that many of the devices at the same time.
fio_on() {
    local names
    names=$(printf '%s:' "${devices[@]:$1:$2}")
    fio --name=verify --filename="${names%:}" --ioengine=libaio --iodepth=64 --rw=randwrite --bs=4k \
        --direct=1 --size=$((2 * $2))M --file_service_type=random --verify=crc32c --verify_fatal=1 \
        --do_verify=1 --eta=never --group_reporting
}
fio_on 0 "$count" >"$UBLK_TEST_DIR/fio.log" || fail "fio: $(tail -n 20 "$UBLK_TEST_DIR/fio.log")"

servers=()
for dev in "${devices[@]:0:count / 2}"; do
    servers+=("$(server_pid "$dev")")
done
fio_on $((count / 2)) $((count / 2)) >"$UBLK_TEST_DIR/fio.log" 2>&1 &
survivors=$!
kill -KILL "${servers[@]}"
for dev in "${devices[@]:0:count / 2}"; do
    wait_until 20 test ! -b "$dev" || fail "$dev outlives its server"
done
wait "$survivors" || fail "others notice: $(tail -n 20 "$UBLK_TEST_DIR/fio.log")"
ublkd del --all || fail "not all can be deleted"
expect_nothing_left
figure "$count devices at once, of which half lost their servers"
