#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A seed makes the generator of lies do the same again, another seed something else.
source "$(dirname "$0")/../lib.sh"

LIAR=$UBLK_ROOT/build/selftests/hostile/liar

sequence() {
    "$LIAR" --print 100 --seed "$1"
}

[ "$(sequence 1 | wc -l)" -ge 1000 ] || fail "no acts: $(sequence 1)"
[ "$(sequence 1)" = "$(sequence 1)" ] || fail "seed 1 is not the same twice"
[ "$(sequence 1)" != "$(sequence 2)" ] || fail "seed 2 is the same as seed 1"
