#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A process that outlives its test fails it and is killed, also if it made itself a daemon.
source "$(dirname "$0")/../fixture.sh"

seconds=$((100000 + $$))
sample daemon.sh <<TEST
setsid --fork sleep $seconds </dev/null >/dev/null 2>&1
TEST
expect_failure_because ": sleep $seconds"
! pgrep -f "^sleep $seconds\$" || fail "the process still runs"
