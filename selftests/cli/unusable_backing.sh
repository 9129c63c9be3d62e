#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A backing that is there but cannot be served: status 5, one line that says what to do, and
# nothing left behind.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

odd=$(make_image odd 1000000)
expect_error 5 "multiple of the block size 512" add loop file="$odd"
expect_error 5 "multiple of the block size 4096" add loop file="$odd" --block-size 4096
expect_error 5 "multiple of the block size" add ram size=1000
expect_error 5 "multiple of the block size" add null size=1000
expect_error 5 "multiple of the block size 4096" add ram size=5K --block-size 4096
# The hint works.
hint=$(run_expect 5 ublkd add loop file="$odd" && sed -n 's/.*\(truncate -s [0-9]* [^;)]*\).*/\1/p' <<<"$ERR")
[ -n "$hint" ] || fail "no command in: $ERR"
eval "$hint"
dev=$(add_dev loop file="$odd")
del_dev "$dev"

: >"$UBLK_TEST_DIR/empty"
expect_error 5 empty add loop file="$UBLK_TEST_DIR/empty"
expect_error 5 . add loop file="$UBLK_TEST_DIR"
mkfifo "$UBLK_TEST_DIR/fifo"
expect_error 5 fifo add loop file="$UBLK_TEST_DIR/fifo"
expect_error 5 /dev/null add loop file=/dev/null
truncate -s 100 "$UBLK_TEST_DIR/tiny"
expect_error 5 tiny add loop file="$UBLK_TEST_DIR/tiny"

image=$(make_image disk 1M)
expect_error 1 offset add loop file="$image" offset=1M
expect_error 1 offset add loop file="$image" offset=100
expect_error 5 . add loop file="$image" sizelimit=1000
