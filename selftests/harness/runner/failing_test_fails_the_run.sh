#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A test that fails in any way is counted, and the runner's exit status tells.
source "$(dirname "$0")/../fixture.sh"

sample status.sh <<<'exit 3'
sample message.sh <<<'fail "this is wrong"'
sample command.sh <<<'false; true'
sample helper.sh <<<'x=$(fail "inside a substitution"); true'
sample pipe.sh <<<'false | true'
sample signal.sh <<<'kill -KILL $$'
sample cleanup.sh <<<'on_exit false'
run_samples sample
expect_status 1
expect_counts 0 7 0
expect_output "FAIL: this is wrong"
expect_output "exit status 3"
expect_output "not ok 1 sample # 7 failed"
