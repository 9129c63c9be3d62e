#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The file of a log filter is no disk's backing, not even the own one's, nor another's log; a log that was
# moved away, as logs are, does not keep the next server from coming.
# timeout: 180
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature QUIESCE

image=$(make_image disk 8M)
other=$(make_image other 8M)
log=$UBLK_TEST_DIR/log
unchanged() {
    cmp -n $((8 << 20)) "$1" /dev/zero || fail "$1 was written to"
    [ "$(stat -c %s "$1")" -eq $((8 << 20)) ] || fail "$1 has grown"
}

expect_error 4 "the same disk has it" add loop file="$image" --filter log:file="$image"
ln "$image" "$UBLK_TEST_DIR/alias"
expect_error 4 "the same disk has it" add loop file="$image" --filter "log:file=$UBLK_TEST_DIR/alias"
expect_error 1 "regular file" add ram size=1M --filter log:file=/dev/null
unchanged "$image"

dev=$(add_dev loop file="$image" --recovery queue --filter log:file="$log")
expect_error 4 "has it" add loop file="$other" --filter log:file="$image"
expect_error 4 "has it" add loop file="$other" --filter log:file="$log"
truncate -s 1M "$log" # as a disk has it
expect_error 4 "has it" add loop file="$log"
unchanged "$image"
unchanged "$other"

dd if="$dev" of=/dev/null bs=64k count=1 iflag=direct status=none
grep -aq 'read offset=0 length=65536 result=65536' "$log" || fail "no line in the log"
run_expect 0 ublkd quiesce "$dev"
mv "$log" "$log.1"
run_expect 0 ublkd recover "$dev"
dd if="$dev" of=/dev/null bs=64k count=1 iflag=direct status=none
grep -q 'read offset=0 length=65536' "$log" || fail "no line in the new log"
del_dev "$dev"
expect_nothing_left
