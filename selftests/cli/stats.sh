#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ublkd stats tells what servers have counted: of each operation, and of each layer; as JSON and for
# Prometheus. One that does not answer is told of, and the others are counted all the same.
# timeout: 180
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

first=$(add_dev ram size=8M --filter error:op=discard --filter error:count=0)
second=$(add_dev null size=8M)
count() {
    ublkd stats "$first" --json | jq ".devices[0].$1"
}

reads=$(count operations.read.requests)
bytes=$(count operations.write.bytes)
dd if="$first" of=/dev/null bs=64k count=4 iflag=direct status=none
dd if=/dev/zero of="$first" bs=64k count=2 oflag=direct status=none
! blkdiscard "$first" 2>/dev/null || fail "the discard works"
[ $(($(count operations.read.requests) - reads)) -ge 4 ] || fail "the reads are not counted"
[ $(($(count operations.write.bytes) - bytes)) -eq $((128 << 10)) ] || fail "the writes are not counted"
[ "$(count operations.discard.errors)" -ge 1 ] || fail "the error is not counted"
failed=$(ublkd stats "$first" --json |
    jq -c '[.devices[0].layers[] | select(.name == "failed_requests") | [.layer, .value > 0]]')
[ "$failed" = '[["error#1",true],["error#2",false]]' ] || fail "layers: $failed"

run_expect 0 ublkd stats --all --prometheus
for sample in "ublk_up{dev=\"${first##*/}\",target=\"ram\"} 1" \
    "ublk_bytes_total{dev=\"${first##*/}\",op=\"write\"} $(count operations.write.bytes)" \
    "ublk_layer_failed_requests{dev=\"${first##*/}\",layer=\"error#2\"} 0" \
    "ublk_errors_total{dev=\"${second##*/}\",op=\"read\"} 0"; do
    grep -qxF "$sample" <<<"$OUT" || fail "no $sample in: $OUT"
done
[ "$(grep -c '^# TYPE ublk_requests_total counter$' <<<"$OUT")" -eq 1 ] || fail "families: $OUT"
run_expect 0 ublkd stats "$first"
grep -qE "^$first +error#1 failed_requests +[1-9]" <<<"$OUT" || fail "table: $OUT"

expect_error 1 -- stats
expect_error 1 -- stats "$first" --all
expect_error 2 '' stats 99

# One that is stopped.
pid=$(server_pid "$second")
wake() {
    if kill -0 "$1" 2>/dev/null; then
        kill -CONT "$1"
    fi
}
on_exit wake "$pid"
kill -STOP "$pid"
run_expect 8 ublkd stats --all --prometheus
grep -qxF "ublk_up{dev=\"${second##*/}\",target=\"null\"} 0" <<<"$OUT" || fail "up: $OUT"
grep -qxF "ublk_up{dev=\"${first##*/}\",target=\"ram\"} 1" <<<"$OUT" || fail "the other: $OUT"
[[ $ERR == *"stopped"* ]] || fail "not why: $ERR"
kill -CONT "$pid"
del_dev "$first"
del_dev "$second"
expect_nothing_left
