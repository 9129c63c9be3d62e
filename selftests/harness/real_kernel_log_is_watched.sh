#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# The runner reads the kernel's own log, not only the file the other harness tests give it.
source "$(dirname "$0")/fixture.sh"

[ -n "${UBLK_VM:-}" ] || skip "writes to the kernel log of a virtual machine only"
# shellcheck source=scripts/lib/splat.sh
source "$UBLK_ROOT/scripts/lib/splat.sh"

staged() {
    printf 'ublk-test: %s\n' "$1" >/dev/kmsg
}

sample splat.sh <<'TEST'
echo "WARNING: CPU: 0 PID: 1 at nowhere.c:1 staged" >/dev/kmsg
TEST
export SAMPLE_KMSG=/dev/kmsg
staged "${SPLAT_STAGED_BEGIN#ublk-test: }"
on_exit staged "${SPLAT_STAGED_END#ublk-test: }"
expect_failure_because "WARNING: CPU: 0 PID: 1 at nowhere.c:1 staged"
