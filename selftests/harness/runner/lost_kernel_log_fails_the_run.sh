#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# If the log of a test cannot be read in full, nobody can say that the kernel was well.
source "$(dirname "$0")/../fixture.sh"

sample clear.sh <<TEST
: >'$UBLK_TEST_DIR/kmsg'
TEST
expect_failure_because "the kernel log since the test's start is lost"
