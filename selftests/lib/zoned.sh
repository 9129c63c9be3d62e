# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Vocabulary of the tests of zoned disks. Sourced after lib.sh and io.sh. MODE is `ram` or `file`: where
# the zones are.

# Adds a zoned disk, or without keys the one that the file has from before:
# add_zoned [KEY=VALUE | OPTION]...
# shellcheck disable=SC2120 # by tests
add_zoned() {
    if [ "$MODE" = file ]; then
        add_dev zoned file="$UBLK_TEST_DIR/zones" "$@"
    else
        add_dev zoned "$@"
    fi
}

# Deletes the disk and, if its zones are in a file, attaches that again: attach_again DEV prints the
# name. In memory the disk stays.
attach_again() {
    if [ "$MODE" = file ]; then
        del_dev "$1"
        add_zoned --number "$(dev_id "$1")"
    else
        echo "$1"
    fi
}

# A line of blkzone's report: one_zone DEV NUMBER
one_zone() {
    local size
    size=$(queue_limit "$1" chunk_sectors)
    blkzone report --offset $(($2 * size)) --count 1 "$1"
}

# What a zone says: zone_is DEV NUMBER CONDITION WRITTEN, with blkzone's two letters for the condition
# and the distance of the write pointer from the zone's start in KiB.
zone_is() {
    local line
    line=$(one_zone "$1" "$2")
    [[ $line =~ wptr\ (0x[0-9a-f]+).*zcond:\ *[0-9]+\((..)\) ]] || fail "not a zone: $line"
    [ "${BASH_REMATCH[2]} $((BASH_REMATCH[1] / 2))" = "$3 $4" ] ||
        fail "zone $2 is not $3 with $4 KiB: $line"
}

# Does something to zones: zone_do WHAT DEV FIRST [COUNT], WHAT being reset, open, close or finish.
zone_do() {
    local size
    size=$(queue_limit "$2" chunk_sectors)
    blkzone "$1" --offset $(($3 * size)) --count "${4:-1}" "$2"
}

# Writes a file's bytes to a place of a disk, in blocks, past the page cache:
# write_at DEV FILE KIB [OPTION OF DD]...
write_at() {
    local dev=$1 file=$2 place=$3
    shift 3
    dd if="$file" of="$dev" bs=4k seek=$((place / 4)) oflag=direct conv=notrunc status=none "$@"
}

# Compares a range of a disk with a file: same_at DEV FILE KIB
same_at() {
    local size
    size=$(stat -c %s "$2")
    dd if="$1" bs=4k skip=$(($3 / 4)) count=$((size / 4096)) iflag=direct status=none | cmp - "$2"
}

# A range of a disk reads as zeroes: zeroes_at DEV KIB LENGTH_IN_KIB
zeroes_at() {
    dd if="$1" bs=4k skip=$(($2 / 4)) count=$(($3 / 4)) iflag=direct status=none |
        cmp - <(head -c "$3K" /dev/zero)
}
