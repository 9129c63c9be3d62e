#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A seed makes the generator of lies do the same again, another seed something else; where coverage has
# guided it, the seed together with what had been kept by then.
source "$(dirname "$0")/../lib.sh"

LIAR=$UBLK_ROOT/build/selftests/hostile/liar

# sequence SEED OPTION...
sequence() {
    "$LIAR" --print 100 --seed "$@"
}

[ "$(sequence 1 | wc -l)" -ge 1000 ] || fail "no acts: $(sequence 1)"
[ "$(sequence 1)" = "$(sequence 1)" ] || fail "seed 1 is not the same twice"
[ "$(sequence 1)" != "$(sequence 2)" ] || fail "seed 2 is the same as seed 1"

kept=$UBLK_TEST_DIR/kept
printf '%s\n' 'server/commands 0000000000c0ffee' 'blunt user/use 00000000deadbeef' >"$kept"
again=$(sequence 1 --kept "$kept")
[ "$again" = "$(sequence 1 --kept "$kept")" ] || fail "with what was kept seed 1 is not the same twice"
grep -q '^server .*: commands 0000000000c0ffee$' <<<"$again" || fail "what was kept is not done again"
[ "$again" != "$(sequence 1)" ] || fail "what was kept changes nothing"
