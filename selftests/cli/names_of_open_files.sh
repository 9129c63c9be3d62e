#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A backing that is named by what some process has open is found by its own name, now and by the next
# server; one that has no name of its own is refused.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

image=$(make_image disk 16M)
other=$(make_image other 16M)
exec {open}<>"$image"
for name in "/proc/self/fd/$open" "/dev/fd/$open" "/proc/$$/fd/$open"; do
    dev=$(add_dev loop file="$name" --recovery queue)
    file=$(ublkd show "$dev" --json | jq -r .options.file)
    [ "$file" = "$image" ] || fail "$name became $file"
    del_dev "$dev"
done

# The descriptor is another file by the time of the recovery.
dev=$(add_dev loop file="/proc/$$/fd/$open" --recovery queue)
kill_server "$dev"
eval "exec $open<>'$other'"
run_expect 0 ublkd recover "$dev"
dd if=/dev/zero bs=4k count=1 status=none | tr '\0' x | dd of="$dev" bs=4k oflag=direct status=none
[ "$(head -c 1 "$image")" = x ] || fail "the disk is not on its file"
[ "$(head -c 1 "$other" | tr '\0' 0)" = 0 ] || fail "another file was written"
del_dev "$dev"

rm "$other"
expect_error 1 'has no name of its own' add loop file="/proc/$$/fd/$open"
