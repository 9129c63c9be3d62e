#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ublkd resize with sizes that cannot be: one line that says what to do, and neither the disk nor what
# is behind it changes. What a backing cannot do is the backing's error.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature UPDATE_SIZE

# Fails as expect_error does, and the sizes of disk and file stay: refused STATUS PATTERN ARGUMENT...
refused() {
    local disk file
    disk=$(blockdev --getsize64 "$dev") file=$(stat -c %s "$image")
    expect_error "$1" "$2" resize "$dev" "${@:3}"
    [ "$(blockdev --getsize64 "$dev")" -eq "$disk" ] || fail "resize ${*:3}: another size"
    [ "$(stat -c %s "$image")" -eq "$file" ] || fail "resize ${*:3}: the file has changed"
}

expect_error 1 . resize
expect_error 1 . resize 0
expect_error 2 "ublkd list" resize 77 1G
image=$(make_image disk 8M)
dev=$(add_dev loop file="$image" offset=1M sizelimit=32M)
refused 1 "or auto" nonsense
refused 1 "or auto" 1Q
refused 1 "or auto" 99999999999999999999
refused 1 "." 0 --shrink
refused 5 "use size=" 7340033
refused 1 "use --shrink" 4M
refused 1 "sizelimit=33554432" 33M
run_expect 0 ublkd resize "$dev" 32M
[ "$(stat -c %s "$image")" -eq $((33 << 20)) ] || fail "the offset was forgotten"
truncate -s 64M "$image"
run_expect 0 ublkd resize "$dev" auto
[ "$(blockdev --getsize64 "$dev")" -eq $((32 << 20)) ] || fail "auto forgot the limit"
truncate -s 16M "$image"
refused 1 "use --shrink" auto
truncate -s 512K "$image"
refused 5 "truncate -s" auto --shrink
del_dev "$dev"

image=$(make_image read_only 8M)
dev=$(add_dev loop file="$image" --read-only)
refused 3 "read-only" 16M
truncate -s 16M "$image"
run_expect 0 ublkd resize "$dev" auto
[ "$(blockdev --getsize64 "$dev")" -eq $((16 << 20)) ] || fail "a read-only disk does not grow"
del_dev "$dev"

for target in null ram; do
    dev=$(add_dev "$target" size=8M)
    refused 1 "give a size" auto
    run_expect 0 ublkd resize "$dev" 24M
    [ "$(blockdev --getsize64 "$dev")" -eq $((24 << 20)) ] || fail "$target does not grow"
    fio_verify_unless_null() {
        [ "$target" = null ] || fio_verify "$dev" --direct=1 --bsrange=512-64k --size=24M
    }
    fio_verify_unless_null
    del_dev "$dev"
done

# A block device has the size it has, until somebody gives it another.
image=$(make_image below 8M)
lower=$(make_loop "$image")
dev=$(add_dev loop file="$lower")
refused 5 "use auto" 16M
truncate -s 16M "$image"
losetup -c "$lower"
run_expect 0 ublkd resize "$dev" auto
[ "$(blockdev --getsize64 "$dev")" -eq $((16 << 20)) ] || fail "it does not follow its backing"
del_dev "$dev"
