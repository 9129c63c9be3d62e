#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Eight devices added at the same moment get different numbers and all work; two of them keep data
# apart under load; all are deleted at the same moment.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

jobs=()
for i in {0..7}; do
    ublkd add ram size=16M >"$UBLK_TEST_DIR/dev$i" &
    jobs+=($!)
done
for job in "${jobs[@]}"; do
    wait "$job" || fail "an add failed"
done
mapfile -t devices < <(cat "$UBLK_TEST_DIR"/dev*)
on_exit ublkd del --all --force
[ "$(printf '%s\n' "${devices[@]}" | sort -u | wc -l)" -eq 8 ] || fail "numbers: ${devices[*]}"
[ "$(ublkd list --json | jq '[.devices[] | select(.state == "live")] | length')" -eq 8 ] ||
    fail "not all are live: $(ublkd list)"

jobs=()
for dev in "${devices[@]:0:2}"; do
    fio_verify "$dev" --direct=1 --bsrange=512-64k --size=8M --thread >"$UBLK_TEST_DIR/${dev##*/}.log" 2>&1 &
    jobs+=($!)
done
for job in "${jobs[@]}"; do
    wait "$job" || fail "a verify failed"
done

jobs=()
for dev in "${devices[@]}"; do
    ublkd del "$dev" &
    jobs+=($!)
done
for job in "${jobs[@]}"; do
    wait "$job" || fail "a del failed"
done
expect_nothing_left
