#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A backing belongs to one disk under all its names, also while that has no server: status 4, and
# one line that names the disk and says what to do.
# timeout: 300
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature QUIESCE

# No disk may be made of any of these: taken NAME...
taken() {
    local name
    for name in "$@"; do
        expect_error 4 "$dev.*ublkd del" add loop file="$name"
    done
}

image=$(make_image disk 16M)
dev=$(add_dev loop file="$image" --recovery queue)
run_expect 0 ublkd quiesce "$dev"

ln "$image" "$image.hard"
ln -s "$image" "$image.soft"
mkdir "$UBLK_TEST_DIR/bound" "$UBLK_TEST_DIR/dir"
mount --bind "$UBLK_TEST_DIR" "$UBLK_TEST_DIR/bound"
on_exit umount "$UBLK_TEST_DIR/bound"
exec {held}<>"$image"
cd "$UBLK_TEST_DIR/dir"
taken "$image" "$image.hard" "$image.soft" "$UBLK_TEST_DIR/bound/disk" ../disk "/proc/$$/fd/$held"
cd /
exec {held}<&-
run_expect 4 ublkd add loop file="$image" --read-only
run_expect 4 ublkd add loop file="$image" offset=8M
run_expect 4 unshare --mount ublkd add loop file="$image"
modprobe loop
loop=$(losetup --find --show "$image")
taken "$loop"
losetup -d "$loop"
wait_until 10 test ! -e "/sys/block/${loop##*/}/loop" || fail "the loop device stays"

# Killed is no other than sent away, and neither is served again.
run_expect 0 ublkd recover "$dev"
taken "$image.hard"
kill_server "$dev"
taken "$image.hard"
del_dev "$dev"
dev=$(add_dev loop file="$image.hard")
del_dev "$dev"

# One that cannot be recovered is free with its server's death.
dead=$(add_dev loop file="$image")
kill_server "$dead"
wait_until 10 flock --nonblock "$image" true || fail "the dead server keeps its file"
dev=$(add_dev loop file="$image.hard")
del_dev "$dev"
del_dev "$dead"

# Readers share, and keep writers away.
dev=$(add_dev loop file="$image" --read-only --recovery queue)
run_expect 0 ublkd quiesce "$dev"
second=$(add_dev loop file="$image.hard" --read-only)
taken "$image"
del_dev "$second"
del_dev "$dev"

# A disk and its partitions; the partitions are two things.
truncate -s 32M "$UBLK_TEST_DIR/parted"
printf 'size=8M\nsize=8M\n' | sfdisk --quiet "$UBLK_TEST_DIR/parted"
loop=$(make_loop "$UBLK_TEST_DIR/parted" --partscan)
wait_until 10 test -b "${loop}p2" || fail "no partitions on $loop"
dev=$(add_dev loop file="${loop}p1" --recovery queue)
run_expect 0 ublkd quiesce "$dev"
taken "${loop}p1" "$loop"
second=$(add_dev loop file="${loop}p2")
del_dev "$second"
del_dev "$dev"

# So is what a disk shares with its users no backing.
truncate -s 8M /dev/shm/ublk-test-both
on_exit rm /dev/shm/ublk-test-both
dev=$(add_dev loop file=/dev/shm/ublk-test-both)
run_expect 4 ublkd add null --shmem /dev/shm/ublk-test-both
[[ $ERR == *"$dev"* ]] || fail "it does not name $dev: $ERR"
del_dev "$dev"
expect_nothing_left
