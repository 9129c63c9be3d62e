#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# doctor finds nothing bad on a machine that works, finds a disk without a server and a driver that is not
# loaded, and what it says to type mends that.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
needs_module

# The finding of one check: finding CHECK WORD
finding() {
    { ublkd doctor --json || :; } | jq -r --arg check "$1" ".findings[] | select(.check == \$check) | .$2"
}

image=$(make_image disk 8M)
dev=$(add_dev loop file="$image" --recovery queue)
run_expect 0 ublkd doctor
[ "$(ublkd doctor --json | jq '[.findings[] | select(.verdict == "bad")] | length')" = 0 ] ||
    fail "something is bad: $(ublkd doctor)"
[ "$(finding disks what)" = "1, all served" ] || fail "disks: $(finding disks what)"
[[ $(finding driver what) == *module*"kernel $(uname -r)" ]] || fail "driver: $(finding driver what)"

run_expect 0 ublkd quiesce "$dev"
run_expect 2 ublkd doctor
[ "$(finding disks verdict)" = bad ] || fail "a disk without a server is $(finding disks verdict)"
remedy=$(finding disks remedy)
[[ $remedy == "ublkd recover "* ]] || fail "remedy: $remedy"
${remedy%%,*} || fail "$remedy does not help"
run_expect 0 ublkd doctor
del_dev "$dev"

unload_module
run_expect 6 ublkd doctor
[ "$(finding driver verdict)" = bad ] || fail "no driver is $(finding driver verdict)"
