#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# list, show and features say of devices what sysfs and procfs say.
# timeout: 90
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 32M)
loop=$(add_dev loop file="$image" --queues 2 --depth 16 --number 11)
ram=$(add_dev ram size=48M --block-size 4096 --read-only)

known=$(find /sys/class/ublk-char -name 'ublkc*' | sed 's/.*ublkc//' | sort | tr '\n' ' ')
listed=$(ublkd list --json | jq -r '.devices[].id' | sort | tr '\n' ' ')
[ "$known" = "$listed" ] || fail "the kernel has '$known', list '$listed'"
[ "$(ublkd list | wc -l)" -eq 3 ] || fail "list: $(ublkd list)"

for dev in "$loop" "$ram"; do
    show=$(ublkd show "$dev" --json)
    # say JQ_EXPRESSION VALUE
    say() {
        local found
        found=$(jq -r "$1" <<<"$show")
        [ "$found" = "$2" ] || fail "$dev: $1 is '$found', not '$2'"
    }
    say .schema 1
    say .device "$dev"
    say .id "$(dev_id "$dev")"
    say .state live
    say .size "$(blockdev --getsize64 "$dev")"
    say .queues "$(find "/sys/block/${dev##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l)"
    # Not queue/nr_requests, which is more with an I/O scheduler.
    say .depth "$(cat "/sys/block/${dev##*/}/mq/0/nr_tags")"
    say .geometry.logical_block_size "$(queue_limit "$dev" logical_block_size)"
    say .geometry.physical_block_size "$(queue_limit "$dev" physical_block_size)"
    say '.geometry.max_io / 1024' "$(queue_limit "$dev" max_hw_sectors_kb)"
    say '.geometry.read_only | if . then 1 else 0 end' "$(blockdev --getro "$dev")"
    say '.geometry.fua | if . then 1 else 0 end' "$(queue_limit "$dev" fua)"
    server=$(jq -r .server.pid <<<"$show")
    [ "$(cat "/proc/$server/comm")" = ublkd ] || fail "$dev: process $server is no ublkd"
    readlink "/proc/$server/fd/"* | grep -qx "/dev/ublkc$(dev_id "$dev")" ||
        fail "$dev: process $server does not serve it"
    jq -e . "/run/ublkd/$(dev_id "$dev").json" >/dev/null || fail "$dev: bad state file"
done
show=$(ublkd show 11 --json)
[ "$(jq -r .target <<<"$show")" = loop ] || fail "wrong target: $show"
[ "$(jq -r .options.file <<<"$show")" = "$image" ] || fail "wrong file: $show"
[ "$(ublkd show ublkb11)" = "$(ublkd show /dev/ublkb11)" ] || fail "names of one device differ"

# A user shows up as long as there is one.
exec {open}<"$loop"
ublkd show "$loop" --json | jq -e --arg pid $$ '.users | any(contains($pid))' >/dev/null ||
    fail "show does not name the process that has it open"
exec {open}<&-
ublkd show "$loop" --json | jq -e '.users == []' >/dev/null || fail "show names a user"

features=$(ublkd features --json)
[ "$(jq -r .kernel <<<"$features")" = "$(uname -r)" ] || fail "features names another kernel"
mask=$(($(jq -r .driver.mask <<<"$features")))
# Each name stands for one bit.
bits=0
for ((bit = 0; bit < 63; bit++)); do bits=$((bits + (mask >> bit & 1))); done
[ "$bits" -eq "$(jq '.driver.features | length' <<<"$features")" ] ||
    fail "mask $mask has $bits bits: $features"
del_dev "$loop"
del_dev "$ram"
[ "$(ublkd list --json | jq '.devices | length')" -eq 0 ] || fail "list shows what is gone"
