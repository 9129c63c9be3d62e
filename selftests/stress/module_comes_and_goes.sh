#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The module is loaded, devices come and go in every way that a device can end, and the module is unloaded
# at once: that is always possible, whatever is still being freed, and no memory is lost.
# timeout: 200
# full-timeout: 7200
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/leaks.sh"
source "$(dirname "$0")/../lib/stress.sh"

needs_module
times=$(amount 4 200)
on_exit load_module

# come_and_go TIMES: each with 8 devices.
come_and_go() {
    local i
    for ((i = 0; i < $1; i++)); do
        SEED=$((SEED + 2))
        "$STRESS/churn" 2 8 "$SEED" >"$UBLK_TEST_DIR/churn.log" ||
            fail "round $i, seed $SEED: $(<"$UBLK_TEST_DIR/churn.log")"
        wait_until 10 rmmod_quietly || fail "round $i: $(rmmod ublk_drv 2>&1)"
        load_module
    done
}

come_and_go 2
[ "$times" -lt 200 ] || remember_memory
come_and_go "$times"
[ "$times" -lt 200 ] || expect_no_leak "$times"
figure "the module came and went $times times, with $((8 * times)) devices"
