#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Without the driver: status 6 and one line that says how to get it; verbs that need no driver work.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

needs_module
image=$(make_image disk 1M)
unload_module
for words in "add null" "add loop file=$image" "add zoned size=1G file=$UBLK_TEST_DIR/zones" "del 0" "del --all" "list" "show 0" "features"; do
    # shellcheck disable=SC2086 # words
    expect_error 6 ublk_drv $words
done
[ ! -e "$UBLK_TEST_DIR/zones" ] || fail "a file was left behind"
for words in help "help add" targets "targets loop" version; do
    # shellcheck disable=SC2086 # words
    run_expect 0 ublkd $words
done
