#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A file, directory or device that is not there: status 2 and one line that says what to do.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

expect_error 2 "$UBLK_TEST_DIR/none" add loop file="$UBLK_TEST_DIR/none"
expect_error 2 "$UBLK_TEST_DIR/none/disk" add loop file="$UBLK_TEST_DIR/none/disk"
: >"$UBLK_TEST_DIR/file"
expect_error 2 "$UBLK_TEST_DIR/file/disk" add loop file="$UBLK_TEST_DIR/file/disk"
ln -s none "$UBLK_TEST_DIR/dangling"
expect_error 2 "$UBLK_TEST_DIR/dangling" add loop file="$UBLK_TEST_DIR/dangling"
for verb in show del; do
    expect_error 2 9 "$verb" 9
    expect_error 2 9 "$verb" /dev/ublkb9
done
