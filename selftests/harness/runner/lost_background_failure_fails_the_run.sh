#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A background job nobody waited for fails the test, whether it failed, ended well or still runs.
source "$(dirname "$0")/../fixture.sh"

sample failed.sh <<'TEST'
false & true
until ! kill -0 "$!" 2>/dev/null; do :; done
TEST
sample running.sh <<<'sleep 100 &'
sample bare_wait.sh <<<'false & wait'
sample waited.sh <<<'false & wait "$!" || fail "as it should be"'
run_samples sample
expect_status 1
expect_counts 0 4 0
expect_output "a background job was never waited for"
expect_output "wait needs the process to wait for"
expect_output "as it should be"
