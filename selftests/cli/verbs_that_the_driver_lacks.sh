#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# On a driver that does not know a command, the verb that needs it says so in one line, with status 6,
# and changes nothing.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

lacking=0
image=$(make_image disk 8M)
dev=$(add_dev loop file="$image")
if ! has_feature UPDATE_SIZE; then
    expect_error 6 "lacks UPDATE_SIZE" resize "$dev" 16M
    [ "$(stat -c %s "$image")" -eq $((8 << 20)) ] || fail "the file has changed"
    lacking=1
fi
if ! has_feature SAFE_STOP_DEV; then
    expect_error 6 "lacks SAFE_STOP_DEV" stop --safe "$dev"
    run_expect 0 ublkd stop "$dev"
    lacking=1
fi
if ! has_feature USER_RECOVERY_FAIL_IO; then
    expect_error 6 "lacks USER_RECOVERY_FAIL_IO" add null --recovery fail
    lacking=1
fi
if ! has_feature QUIESCE; then
    dev=$(add_dev null --recovery queue)
    expect_error 6 "lacks QUIESCE" quiesce "$dev"
    lacking=1
fi
[ "$lacking" -ne 0 ] || skip "the driver has all of them"
