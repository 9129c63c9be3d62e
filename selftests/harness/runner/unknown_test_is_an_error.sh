#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A name that means no test is an error, not an empty success.
source "$(dirname "$0")/../fixture.sh"

sample ok.sh <<<'true'
for word in sample/nothing nothing sample/ok.sh[red]; do
    run_samples "$word"
    expect_status 2
    expect_output "no such suite or test: $word"
done
