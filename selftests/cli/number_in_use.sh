#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A number that is taken: status 4 and one line that names who has it; the device there is unharmed.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

dev=$(add_dev ram size=1M --number 2)
server=$(server_pid "$dev")
expect_error 4 "$server" add ram size=1M --number 2
[ "$(server_pid "$dev")" = "$server" ] || fail "$dev has another server"
dd if="$dev" of=/dev/null bs=4k iflag=direct status=none || fail "$dev does not work any more"
jq -e --argjson pid "$server" '.pid == $pid' /run/ublkd/2.json >/dev/null || fail "its state is lost"
kill_server "$dev"
# A dead device keeps its number until it is deleted.
expect_error 4 ublkb2 add ram size=1M --number 2
del_dev "$dev"
