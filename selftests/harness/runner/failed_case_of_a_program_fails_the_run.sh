#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A C program's cases count even if its exit status says that all is well, and it must be built.
source "$(dirname "$0")/../fixture.sh"

mkdir -p "$UBLK_TEST_DIR/programs/sample"
program=$UBLK_TEST_DIR/programs/sample/program
echo 'int main(void)' >"$SAMPLE/program.c"
expect_failure_because "not built"

printf '#!/bin/sh\necho "TAP version 13"\necho "not ok 1 case"\n' >"$program"
chmod 755 "$program"
expect_failure_because "a case failed"

printf '#!/bin/sh\necho "ok 1 # SKIP no such thing"\n' >"$program"
expect_failure_because "unexpected skip: no such thing"

printf '#!/bin/sh\necho "ok 1 case"\n' >"$program"
run_samples sample
expect_counts 2 0 0
