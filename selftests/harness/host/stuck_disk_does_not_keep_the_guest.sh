#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 600
# A guest in which somebody waits for a disk whose server has stopped ends with its command.
source "$(dirname "$0")/../fixture.sh"

STATUS=0
OUT=$("$UBLK_ROOT/scripts/vm" --timeout 120 -- bash -c '
    set -e
    disk=$('"$UBLKD"' add null size=1M)
    kill -STOP $('"$UBLKD"' show "$disk" --json | jq "[.. | objects | .pid? // empty][0]")
    dd if=/dev/zero of="$disk" bs=4k count=1 &
    until grep -q "^State:.*D" /proc/$!/status; do kill -0 $!; sleep 0.1; done
    exit 42' 2>&1) || STATUS=$?
expect_status 42
