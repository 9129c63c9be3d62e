#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A zonefs on a zoned disk: files are as long as was written, verify, are emptied by truncation, and are
# the same when the disk was detached and attached again.
# modes: ram+user file+user
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/zoned.sh"

modprobe zonefs || skip "this kernel has no zonefs"
make_zonefs=$UBLK_ROOT/build/selftests/data/make_zonefs
files=$UBLK_TEST_DIR/mnt
# 6.1's zonefs fails every synchronous write to any disk, for which it appends.
write_file() {
    fio --name=file --filename="$1" --ioengine=libaio --direct=1 --rw=write --bs=64k --size="$2" \
        --verify=crc32c --do_verify=1 --verify_fatal=1 --create_on_open=1 --file_append=0 \
        --allow_file_create=0 --end_fsync=1 --eta=never || fail "fio does not verify $1"
}
length_is() {
    [ "$(stat -c %s "$1")" -eq "$2" ] || fail "$1 has $(stat -c %s "$1") bytes, not $2"
}

dev=$(add_zoned size=64M zone-size=4M zone-capacity=3M conventional=3)
"$make_zonefs" "$dev"
mount_dev "$dev" "$files" -t zonefs
conventional=("$files"/cnv/*) sequential=("$files"/seq/*)
[ "${#conventional[@]}" -eq 2 ] || fail "not two files of conventional zones"
[ "${#sequential[@]}" -eq 13 ] || fail "not thirteen files of sequential zones"
length_is "$files/seq/0" 0
write_file "$files/seq/0" 1M
length_is "$files/seq/0" $((1 << 20))
write_file "$files/seq/3" 3M
length_is "$files/seq/3" $((3 << 20))
write_file "$files/seq/5" 512K
truncate -s 0 "$files/seq/5"
length_is "$files/seq/5" 0
write_file "$files/seq/5" 256K
truncate -s 3M "$files/seq/7"
fio --name=file --filename="$files/cnv/1" --ioengine=libaio --direct=1 --rw=randwrite --bs=4k \
    --size=1M --verify=crc32c --do_verify=1 --verify_fatal=1 --end_fsync=1 --eta=never ||
    fail "fio does not verify a conventional zone"
(cd "$files" && sha256sum seq/* cnv/*) >"$UBLK_TEST_DIR/sums"
umount "$files"

dev=$(attach_again "$dev")
mount_dev "$dev" "$files" -t zonefs
length_is "$files/seq/0" $((1 << 20))
length_is "$files/seq/3" $((3 << 20))
length_is "$files/seq/5" $((256 << 10))
(cd "$files" && sha256sum --quiet -c "$UBLK_TEST_DIR/sums") || fail "files changed"
write_file "$files/seq/1" 1M
umount "$files"
