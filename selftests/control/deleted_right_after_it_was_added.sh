#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 900
# A device is deleted right after it was added, while udev and what it starts look into it: they are
# waited for, not taken for users. Most of it on a machine that has much installed that does.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/stress.sh"

cycles=20
if [ "${UBLK_FULL_MACHINE:-no}" = yes ]; then
    cycles=$(amount 40 200)
    for rule in 69-bcache 69-lvm 64-md-raid-assembly 60-multipath; do
        [ -e "/usr/lib/udev/rules.d/$rule.rules" ] || fail "udev lacks the rules $rule"
    done
fi

busy=0
for ((i = 0; i < cycles; i++)); do
    dev=$(add_dev null size=64M)
    run=0
    error=$("$UBLKD" del "$dev" 2>&1) || run=$?
    if [ "$run" -ne 0 ]; then
        busy=$((busy + 1))
        echo "$error"
        "$UBLKD" del --force "$dev"
    fi
done
echo "# figure: $cycles times add and del, $busy times busy"
[ "$busy" -eq 0 ] || fail "$busy of $cycles could not be deleted"

# Who is not sent by udev is named, whatever he is called.
dev=$(add_dev null size=64M)
cp "$(type -P sleep)" "$UBLK_TEST_DIR/probe-bcache"
"$UBLK_TEST_DIR/probe-bcache" 600 <"$dev" &
user=$!
run_expect 4 "$UBLKD" del "$dev"
[[ $ERR == *"open in process $user (probe-bcache)"* ]] || fail "it does not say who: $ERR"
kill "$user"
wait "$user" || :
del_dev "$dev"
