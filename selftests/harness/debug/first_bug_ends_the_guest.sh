#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 3600
# On UBLK_DEBUG_KERNEL nothing runs on after memory may have been damaged, and what happened is said.
source "$(dirname "$0")/../fixture.sh"

case $UBLK_DEBUG_KERNEL in
*-debug) ;;
*) skip "$UBLK_DEBUG_KERNEL does not look for damage" ;;
esac

module=$UBLK_ROOT/build/module/$UBLK_DEBUG_KERNEL/bugs/ublk_bugs.ko
STATUS=0
OUT=$("$UBLK_ROOT/scripts/vm" --kernel "$UBLK_DEBUG_KERNEL" --no-module -- \
    insmod "$module" bug=use_after_free 2>&1) || STATUS=$?
expect_status 125
expect_output "BUG: KASAN: "
expect_output "use_after_free"
