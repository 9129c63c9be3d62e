#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# A server that lies, its controllers and users, at random: a few thousand of their operations harm
# nobody. scripts/run-liar does as many as one likes.
source "$(dirname "$0")/../lib.sh"

LIAR=$UBLK_ROOT/build/selftests/hostile/liar

# An epoch ends after some seconds, too: a slow kernel needs more of them before a liar's answer counts.
operations=$((8000 * ${UBLK_TEST_TIME_FACTOR:-1}))
"$LIAR" --seed 1 --operations "$operations" || fail "the driver did not withstand it"
