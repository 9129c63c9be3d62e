#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 1800
# A test that takes the kernel down fails, and so does every test that could not run after it.
source "$(dirname "$0")/../fixture.sh"

sample a.sh <<<'true'
sample b.sh <<<'echo c >/proc/sysrq-trigger'
sample c.sh <<<'true'
STATUS=0
OUT=$(UBLK_TEST_SUITES="$UBLK_TEST_DIR/suites" UBLK_TEST_KMSG=/dev/kmsg \
    "$UBLK_ROOT/scripts/run-vm-tests.sh" --no-module --no-build sample 2>&1) || STATUS=$?
expect_status 125
expect_counts 1 2 0
expect_output "the guest died during sample/b.sh"
