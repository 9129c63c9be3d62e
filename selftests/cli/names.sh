#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk with a name: its link in /dev/disk/by-id, its serial number in lsblk, what lies on it known at
# once, nobody else of that name. udev does not read a disk that waits for a server, and forgets nothing
# of it; one that it has not seen before is ready once a server comes.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

mkdir -p /run/udev/rules.d
on_exit eval 'rm /run/udev/rules.d/59-ublk.rules; udevadm control --reload'
sed "s|@CMAKE_INSTALL_FULL_SBINDIR@|${UBLKD%/*}|" "$UBLK_ROOT/userspace/daemon/59-ublk.rules.in" \
    >/run/udev/rules.d/59-ublk.rules
udevadm control --reload

property() {
    udevadm info --query=property "$1" | sed -n "s/^$2=//p"
}
expect_property() {
    local found
    found=$(property "$1" "$2")
    [ "$found" = "$3" ] || fail "udev: $2 of $1 is '$found', not '$3'"
}
is_ready_again() {
    [ -z "$(property "$1" SYSTEMD_READY)" ] && [ "$(property "$1" ID_FS_TYPE)" = ext4 ]
}
link_leads_to() {
    [ "$(readlink -f "$1")" = "$2" ]
}

# What else can be no name is for the unit tests.
expect_error 1 "--name=a b" add ram size=1M '--name=a b'

image=$(make_image disk 64M)
mkfs.ext4 -q -L label-of-it "$image"
dev=$(add_dev loop file="$image" --name data --recovery queue)
link=/dev/disk/by-id/ublk-data
wait_until 20 link_leads_to "$link" "$dev" || fail "no $link: $(udevadm info "$dev")"
[ "$(lsblk --noheadings --output NAME,SERIAL,FSTYPE,LABEL "$dev" | xargs)" = \
    "${dev#/dev/} data ext4 label-of-it" ] || fail "lsblk: $(lsblk --output +SERIAL,FSTYPE,LABEL "$dev")"
wait_until 20 link_leads_to /dev/disk/by-label/label-of-it "$dev" || fail "no link by label"
[ "$(blkid --cache-file /dev/null --output value --match-tag TYPE "$link")" = ext4 ] || fail "blkid"
[ -L "/run/udev/watch/b$(device_number "$dev")" ] || fail "udev does not watch a disk with a name"
[ "$(ublkd show "$dev" --json | jq -r .name)" = data ] || fail "show has no name"
ublkd list | grep -qE "^$dev +data +loop " || fail "list: $(ublkd list)"
expect_error 4 "$dev" add ram size=1M --name data

# Anybody can make udev look again. If it read, it would wait.
kill_server "$dev"
udevadm trigger --action=change "/sys/block/${dev#/dev/}"
udevadm settle --timeout=20 || fail "udev reads a disk that nobody serves"
expect_property "$dev" UBLK_SERVER gone
expect_property "$dev" ID_FS_TYPE ext4
expect_property "$dev" SYSTEMD_READY ''
link_leads_to "$link" "$dev" || fail "the link has gone with the server"

# As after the start of a machine, or of udev: nothing is known of the disk.
rm -f "/run/udev/data/b$(device_number "$dev")"
udevadm trigger --action=add "/sys/block/${dev#/dev/}"
udevadm settle --timeout=20 || fail "udev reads a disk that it has not seen before"
expect_property "$dev" SYSTEMD_READY 0
link_leads_to "$link" "$dev" || fail "a disk without a server has no link"
run_expect 0 ublkd recover "$dev"
# The kernel's own driver does not tell udev of servers; there somebody else has to.
[ "${UBLK_DRIVER:-ours}" != in-tree ] ||
    udevadm trigger --action=change "/sys/block/${dev#/dev/}"
wait_until 20 is_ready_again "$dev" || fail "not ready with a server: $(udevadm info "$dev")"
[ "$(ublkd show "$dev" --json | jq -r .name)" = data ] || fail "the next server has lost the name"
del_dev "$dev"
wait_until 20 test ! -L "$link" || fail "$link is left behind"

# The name is free, a partition has it, too, and a disk without one is not watched.
dev=$(add_dev ram size=64M --name data)
echo 'label: gpt
size=8M, name=first' | sfdisk --quiet "$dev"
wait_until 20 link_leads_to "$link-part1" "${dev}p1" || fail "no link to the partition"
del_dev "$dev"
other=$(add_dev ram size=1M)
udevadm settle --timeout=20
expect_property "$other" ID_SERIAL ''
expect_property "$other" ID_MODEL ublk-ram
[ ! -L "/run/udev/watch/b$(device_number "$other")" ] || fail "udev watches a disk without a name"
