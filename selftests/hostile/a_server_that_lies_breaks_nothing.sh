#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# A server that lies, its controllers and users, at random: a few thousand of their operations harm
# nobody. scripts/run-liar does as many as one likes.
source "$(dirname "$0")/../lib.sh"

LIAR=$UBLK_ROOT/build/selftests/hostile/liar

"$LIAR" --seed 1 --operations 8000 || fail "the driver did not withstand it"
