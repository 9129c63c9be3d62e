#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Deleting a mounted device: status 4 and one line that names the mount point; with --all the others
# are deleted and the status is 8.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

busy=$(add_dev ram size=16M)
free=$(add_dev null)
mkfs.ext4 -q "$busy"
mount_dev "$busy" "$UBLK_TEST_DIR/mnt"
expect_error 4 "mounted on $UBLK_TEST_DIR/mnt" del "$busy"
run_expect 8 ublkd del --all
[ "$(wc -l <<<"$ERR")" -eq 1 ] || fail "not one line: $ERR"
[[ $ERR == *"$UBLK_TEST_DIR/mnt"* ]] || fail "it does not say why: $ERR"
! dev_exists "$free" || fail "the other device is still there"
run_expect 8 ublkd del --all --json
jq -e '.deleted == [] and (.errors | length) == 1 and .errors[0].code == 4' <<<"$OUT" >/dev/null ||
    fail "unexpected: $OUT"
umount "$UBLK_TEST_DIR/mnt"
run_expect 0 ublkd del --all --json
jq -e --arg dev "$busy" '.deleted == [$dev] and .errors == []' <<<"$OUT" >/dev/null ||
    fail "unexpected: $OUT"
run_expect 0 ublkd del --all
