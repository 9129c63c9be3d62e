#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Four processes make, use and remove devices at the same time, in every way that a device can end, while
# udev looks at each: nothing wedges, data are right, and no memory is lost.
# timeout: 400
# full-timeout: 10800
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/leaks.sh"
source "$(dirname "$0")/../lib/stress.sh"

cycles=$(amount 120 5000)
"$STRESS/churn" 4 24 "$SEED" >/dev/null || fail "the warm-up fails"
remember_memory
"$STRESS/churn" 4 "$cycles" $((SEED + 4)) || fail "not all cycles ended well"
expect_no_leak "$cycles"
expect_unloadable
