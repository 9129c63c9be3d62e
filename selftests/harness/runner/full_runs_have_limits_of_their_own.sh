#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# A test that is asked to do all it can has the time for that, and what it reached stands beside its
# verdict.
source "$(dirname "$0")/../fixture.sh"

unset UBLK_TEST_STRESS
# Time to start and to print the figure.
limit=${UBLK_TEST_TIME_FACTOR:-1}
# Longer than the one limit without, and with all it can do, so each shows which one holds.
sample long.sh <<TEST
# timeout: $limit
# full-timeout: 250
source "$UBLK_ROOT/selftests/lib/stress.sh"
figure "\$(amount 3 5000) times"
sleep "\$(amount 200 $((limit + 2)))"
TEST
run_samples sample
expect_counts 0 1 0
expect_output "timeout after $limit s"
expect_output "  # figure: 3 times"
export UBLK_TEST_STRESS=full
run_samples sample
expect_counts 1 0 0
expect_output "  # figure: 5000 times"
