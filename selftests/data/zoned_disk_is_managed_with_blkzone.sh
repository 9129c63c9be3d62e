#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# blkzone reports, opens, closes, finishes and resets the zones of a zoned disk; writes are taken at the
# write pointer only, and up to the capacity; behind it there are zeroes; limits are those asked for.
# modes: ram+user file+user
# timeout: 180
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/zoned.sh"
require_program blkzone

dev=$(add_zoned size=16M zone-size=1M zone-capacity=768K conventional=2 max-open=3 max-active=4)
noise=$(make_noise noise 1)
head -c 64K "$noise" >"$UBLK_TEST_DIR/64K"
head -c 768K "$noise" >"$UBLK_TEST_DIR/768K"
some=$UBLK_TEST_DIR/64K all=$UBLK_TEST_DIR/768K
refused() {
    ! write_at "$@" 2>"$UBLK_TEST_DIR/.dd" || fail "$2 was written at $3 KiB"
    grep -q "Input/output error" "$UBLK_TEST_DIR/.dd" || fail "another error: $(<"$UBLK_TEST_DIR/.dd")"
}

expect_limit "$dev" zoned host-managed
expect_limit "$dev" nr_zones 16
expect_limit "$dev" chunk_sectors 2048
expect_limit "$dev" max_open_zones 3
expect_limit "$dev" max_active_zones 4
[ "$(queue_limit "$dev" zone_append_max_bytes)" -gt 0 ] || fail "no appends"
if [ "${UBLK_KERNEL:-}" = 6.1 ]; then
    # Nothing else keeps writes to a zone in order there.
    grep -qF '[mq-deadline]' "/sys/block/${dev##*/}/queue/scheduler" || fail "not mq-deadline"
fi
[ "$(blkzone report "$dev" | wc -l)" -eq 16 ] || fail "not 16 zones: $(blkzone report "$dev")"
[ "$(blkzone report "$dev" | grep -c CONVENTIONAL)" -eq 2 ] || fail "not 2 conventional zones"
[ "$(blkzone report "$dev" | grep -c 'cap 0x000600.*SEQ_WRITE_REQUIRED')" -eq 14 ] ||
    fail "wrong capacity or type: $(blkzone report "$dev")"

zone_is "$dev" 2 em 0
write_at "$dev" "$some" 2048
zone_is "$dev" 2 oi 64
write_at "$dev" "$some" 2112
zone_is "$dev" 2 oi 128
refused "$dev" "$some" 2048
refused "$dev" "$some" 2240
refused "$dev" "$some" 3136
zone_is "$dev" 2 oi 128
same_at "$dev" "$some" 2048
same_at "$dev" "$some" 2112
zeroes_at "$dev" 2176 896
# Conventional zones take anything anywhere.
write_at "$dev" "$some" 1984
write_at "$dev" "$some" 1024
same_at "$dev" "$some" 1024

zone_do open "$dev" 3
zone_is "$dev" 3 oe 0
zone_do close "$dev" 2
zone_is "$dev" 2 cl 128
write_at "$dev" "$all" 3072
zone_is "$dev" 3 fu 1024
same_at "$dev" "$all" 3072
zeroes_at "$dev" 3840 256
zone_do finish "$dev" 4
zone_is "$dev" 4 fu 1024
zeroes_at "$dev" 4096 1024
refused "$dev" "$some" 4096

# Three may be open, four open or closed; those that only a write has opened give way. After an error
# some kernels take no write to the zone until somebody asks for a report.
for zone in 5 6 7; do
    zone_do open "$dev" "$zone"
done
! zone_do open "$dev" 8 2>/dev/null || fail "a fourth zone was opened"
! write_at "$dev" "$some" 8192 2>/dev/null || fail "a fifth zone is active"
zone_is "$dev" 8 em 0
! write_at "$dev" "$some" 2176 2>/dev/null || fail "a fourth zone is open"
zone_is "$dev" 2 cl 128
zone_do reset "$dev" 6
write_at "$dev" "$some" 8192
zone_is "$dev" 8 oi 64
! write_at "$dev" "$some" 9216 2>/dev/null || fail "a fifth zone is active"
zone_is "$dev" 9 em 0
write_at "$dev" "$some" 2176
zone_is "$dev" 8 cl 64
zone_is "$dev" 2 oi 192

zone_do reset "$dev" 3
zone_is "$dev" 3 em 0
zeroes_at "$dev" 3072 1024
write_at "$dev" "$some" 2240
same_at "$dev" "$some" 2240
blkzone reset "$dev" --offset 4096
[ "$(blkzone report "$dev" | grep -c '(em)')" -eq 14 ] ||
    fail "not all were reset: $(blkzone report "$dev")"
zeroes_at "$dev" 2048 14336
same_at "$dev" "$some" 1024

run_expect 0 ublkd show "$dev" --json
jq -e '.geometry.zones == {count: 16, size: 1048576, max_append: 524288, max_open: 3, max_active: 4}
    and (.features | index("ZONED")) and .copy.mode == "user"' <<<"$OUT" >/dev/null ||
    fail "show tells something else: $OUT"
del_dev "$dev"
dev=$(add_dev null)
run_expect 0 ublkd show "$dev" --json
jq -e '.geometry.zones == null and (.features | index("ZONED") | not)' <<<"$OUT" >/dev/null ||
    fail "zones were asked for without need: $OUT"
