#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A skip passes only if the list names kernel, test and reason; every other skip is a failure.
source "$(dirname "$0")/../fixture.sh"

list=$UBLK_TEST_DIR/allowed-skips
sample skips.sh <<<'skip "no moon tonight"'
expect_failure_because "unexpected skip: no moon tonight"

allow() {
    echo "$1" >"$list"
    run_samples sample
}
allow "9.9 sample/skips.sh no moon"
expect_status 0
expect_counts 1 0 1
allow "* sample/skips.sh no moon"
expect_counts 1 0 1
allow "9.8 sample/skips.sh no moon"
expect_counts 1 1 0
allow "9.9-in-tree sample/skips.sh no moon"
expect_counts 1 1 0
allow "9.9 sample/other.sh no moon"
expect_counts 1 1 0
allow "9.9 sample/skips.sh no sun"
expect_counts 1 1 0
allow "9.9 sample/skips.sh"
expect_counts 1 1 0

sample silent.sh <<<'exit 4'
allow "9.9 sample/silent.sh anything"
expect_output "skipped without a reason"
