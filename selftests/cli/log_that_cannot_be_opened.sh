#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A server whose log cannot be opened takes a waiting disk over all the same, and recover says so at
# once; a disk that is only about to be made is not.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature QUIESCE

dev=$(add_dev null --number 6 --recovery queue)
run_expect 0 ublkd quiesce "$dev"
log=/run/ublkd/6.log
rm "$log"
mkdir "$log"
on_exit rm -rf "$log"
begun=$(now_ms)
run_expect 0 ublkd recover "$dev"
took=$(($(now_ms) - begun))
echo "# recover took $took ms: $ERR"
[ "$took" -lt 20000 ] || fail "it was waited for"
[ "$OUT" = "$dev" ] || fail "it printed '$OUT'"
[[ $ERR == *"$log"* ]] || fail "it does not tell: $ERR"
dd if="$dev" of=/dev/null bs=64k count=1 iflag=direct status=none || fail "it does not serve"
del_dev "$dev"
expect_error 5 "log to $log" add null --number 6
rmdir "$log"
expect_nothing_left
