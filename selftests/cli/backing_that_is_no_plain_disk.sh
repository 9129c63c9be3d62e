#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the kernel says of a backing is heeded: what could not be served right is refused by a line
# that says why, what the user should know is said, and stands in ublkd show.
# timeout: 300
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

end_swapping() {
    ! grep -q "^$image " /proc/swaps || swapoff "$image"
}

end_locker() {
    ! kill -0 "$locker" 2>/dev/null || kill "$locker"
}

# Zones cannot be passed on.
zoned=$(make_nullb 0 size=256 zoned=1 zone_size=64 memory_backed=1)
expect_error 5 "zoned" add loop file="$zoned"
expect_error 5 "zoned" add loop file="$zoned" --read-only

# A disk that cannot be written.
image=$(make_image disk 16M)
modprobe loop
loop=$(losetup --find --show --read-only "$image")
expect_error 3 "--read-only" add loop file="$loop"
dev=$(add_dev loop file="$loop" --read-only)
del_dev "$dev"
losetup -d "$loop"
wait_until 10 test ! -e "/sys/block/${loop##*/}/loop" || fail "the loop device stays"

# Files that the kernel keeps from being written.
chattr +i "$image"
on_exit chattr -ia "$image"
expect_error 3 "chattr -i" add loop file="$image"
chattr -i +a "$image"
expect_error 3 "chattr -a" add loop file="$image"
chattr -a "$image"
dd if=/dev/zero of="$image" bs=1M count=16 status=none
mkswap -q "$image"
chmod 600 "$image"
swapon "$image"
on_exit end_swapping
expect_error 4 "swapoff" add loop file="$image"
swapoff "$image"
dev=$(add_dev loop file="$image")
del_dev "$dev"

# Somebody's lock: a virtual machine's, say.
python3 -c 'import fcntl, signal, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 100)
open(sys.argv[2], "w").close()
signal.pause()' "$image" "$UBLK_TEST_DIR/locked" &
locker=$!
on_exit end_locker
wait_until 30 test -e "$UBLK_TEST_DIR/locked" || fail "no lock"
expect_error 4 "process $locker" add loop file="$image"
kill "$locker"
finishes_within 10 "$locker" || fail "the lock's holder stays"

# What only looks like a file.
expect_error 5 "its size says" add loop file=/sys/kernel/uevent_seqnum --read-only

# A partition table for other sectors.
table=$(make_nullb 1 size=64 memory_backed=1 blocksize=4096)
printf 'label: gpt\nstart=256\n' | sfdisk --quiet "$table"
dd if="$table" of="$UBLK_TEST_DIR/4k" bs=1M iflag=direct status=none
dev=$(add_dev loop file="$UBLK_TEST_DIR/4k" 2>"$UBLK_TEST_DIR/said")
grep -q -- "sectors of 4096 bytes.*--block-size 4096" "$UBLK_TEST_DIR/said" ||
    fail "not a word: $(<"$UBLK_TEST_DIR/said")"
ublkd show "$dev" --json | jq -e '.backing.remarks[] | contains("4096")' >/dev/null ||
    fail "show does not say it"
del_dev "$dev"
dev=$(add_dev loop file="$UBLK_TEST_DIR/4k" --block-size 4096 2>"$UBLK_TEST_DIR/said")
! grep -q sectors "$UBLK_TEST_DIR/said" || fail "a word too many: $(<"$UBLK_TEST_DIR/said")"
wait_until 10 test -b "${dev}p1" || fail "no partition"
del_dev "$dev"

truncate -s 64M "$UBLK_TEST_DIR/512"
printf 'label: gpt\nstart=2048\n' | sfdisk --quiet "$UBLK_TEST_DIR/512"
dd if="$UBLK_TEST_DIR/512" of="$table" bs=1M oflag=direct status=none
dev=$(add_dev loop file="$table" 2>"$UBLK_TEST_DIR/said")
grep -q -- "sectors of 512 bytes.*--block-size 512 direct=no" "$UBLK_TEST_DIR/said" ||
    fail "not a word: $(<"$UBLK_TEST_DIR/said")"
del_dev "$dev"
dev=$(add_dev loop file="$table" --block-size 512 direct=no)
wait_until 10 test -b "${dev}p1" || fail "no partition"
fio_verify "${dev}p1" --direct=1 --bsrange=512-64k --size=4M
del_dev "$dev"
expect_nothing_left
