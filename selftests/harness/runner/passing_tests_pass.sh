#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# Tests that do nothing wrong are counted as passed, in KTAP, once per mode.
source "$(dirname "$0")/../fixture.sh"

sample a.sh <<<'test -d "$UBLK_TEST_DIR"'
sample b.sh <<'TEST'
# modes: red blue
[ "$MODE" = red ] || [ "$MODE" = blue ]
true & wait "$!"
TEST
run_samples sample
expect_status 0
expect_counts 3 0 0
[ "$(head -n 1 <<<"$OUT")" = "KTAP version 1" ] || fail "no KTAP header: $OUT"
expect_output "  ok 1 a.sh"
expect_output "  ok 2 b.sh[red]"
expect_output "  ok 3 b.sh[blue]"
expect_output "ok 1 sample"
run_samples 'sample/b.sh[blue]'
expect_counts 1 0 0
