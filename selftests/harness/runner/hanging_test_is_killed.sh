#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A test over its time limit is ended with everything it started, even what ignores SIGTERM.
source "$(dirname "$0")/../fixture.sh"

seconds=$((100000 + $$))
sample hang.sh <<TEST
# timeout: 1
trap '' TERM
setsid sleep $seconds &
while :; do read -r -t 10 <> <(:) || :; done
TEST
expect_failure_because "timeout after 1 s"
! pgrep -f "^sleep $seconds\$" || fail "a process of the hanging test still runs"
