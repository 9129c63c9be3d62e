#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A file system that stays mounted after its test fails it and is unmounted.
source "$(dirname "$0")/fixture.sh"

[ -n "${UBLK_VM:-}" ] || skip "mounts in a virtual machine only"
sample mount.sh <<TEST
mkdir -p '$UBLK_TEST_DIR/mount'
mount -t tmpfs tmpfs '$UBLK_TEST_DIR/mount'
TEST
expect_failure_because "left mounts: $UBLK_TEST_DIR/mount"
! mountpoint -q "$UBLK_TEST_DIR/mount" || fail "still mounted"
