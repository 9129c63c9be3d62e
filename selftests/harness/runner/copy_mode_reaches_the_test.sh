#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# The way of the data is part of a mode, or asked for with --copy; a test that names one itself keeps
# out of another one's run.
source "$(dirname "$0")/../fixture.sh"

sample plain.sh <<<'echo "plain: $MODE/$UBLK_COPY" >&2; false'
sample modes.sh <<'TEST'
# modes: big big+user zero
echo "modes: $MODE/$UBLK_COPY" >&2; false
TEST
run_samples sample
expect_counts 0 4 0
for line in "plain: /" "modes: big/" "modes: big/user" "modes: zero/zero"; do
    grep -qxF "  # | $line" <<<"$OUT" || fail "no '$line' in: $OUT"
done
run_samples --copy user sample
expect_counts 0 2 0
expect_output "modes.sh[big+user]"
for line in "plain: user/user" "modes: big/user"; do
    grep -qxF "  # | $line" <<<"$OUT" || fail "no '$line' in: $OUT"
done
run_samples --copy nonsense sample
expect_status 2
