#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 1800
# What a guest writes is forgotten, but for its results; a repository below /tmp is visible too.
source "$(dirname "$0")/../fixture.sh"

results=$UBLK_TEST_DIR/results
mkdir "$results"
"$UBLK_ROOT/scripts/vm" --no-module --results "$results" -- bash -c '
    set -e
    [ "$PWD" = "$UBLK_ROOT" ]
    touch /etc/ublk-was-here "$UBLK_ROOT/ublk-was-here"
    dd if=/dev/zero of="$UBLK_SCRATCH/file" bs=1M count=4 oflag=direct
    echo kept >"$UBLK_RESULTS/file"'
[ "$(cat "$results/file")" = kept ] || fail "the results are lost"
! [ -e /etc/ublk-was-here ] || fail "the guest wrote to the host"
! [ -e "$UBLK_ROOT/ublk-was-here" ] || fail "the guest wrote to the repository"
