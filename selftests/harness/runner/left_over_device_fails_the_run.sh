#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A ublk device or a use of the module that outlives its test fails it, and it alone.
source "$(dirname "$0")/../fixture.sh"

sample device.sh <<TEST
: >'$UBLK_TEST_DIR/class/ublkc7'
TEST
expect_failure_because "left devices: ublkc7"
rm "$UBLK_TEST_DIR/class/ublkc7" "$SAMPLE/device.sh"
sample reference.sh <<TEST
echo 1 >'$UBLK_TEST_DIR/references'
TEST
run_samples sample
expect_status 1
expect_counts 1 1 0
expect_output "use count went from 0 to 1"
