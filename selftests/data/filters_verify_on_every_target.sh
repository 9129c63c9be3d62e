#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every filter on every target that needs no other machine, and two filters deep: what fio writes it reads
# back, what cannot be written says so. A usual run has two pairs with each filter as the outer one, on the
# targets in turn; a full one has all pairs on all targets.
# timeout: 240
# full-timeout: 1800
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"

targets=(null ram loop zoned)
filters=(delay error log offset rate readonly)
log=$UBLK_TEST_DIR/log

make_target() {
    case $1 in
    null) dev=$(add_dev null size=4M "${@:2}") ;;
    ram) dev=$(add_dev ram size=4M "${@:2}") ;;
    loop) dev=$(add_dev loop file="$image" "${@:2}") ;;
    zoned) dev=$(add_dev zoned size=4M zone-size=1M --copy user "${@:2}") ;;
    esac
}

# What a filter is told: filter_words NAME NUMBER
filter_words() {
    case $1 in
    delay) echo delay:read=1ms,write=1ms ;;
    error) echo error:count=0 ;;
    log) echo "log:file=$log.$2" ;;
    offset) echo offset:start=64K ;;
    rate) echo rate:bytes=200M,requests=20000 ;;
    readonly) echo readonly ;;
    esac
}

# A disk has the filters that it was told to have, a log filter has written lines, and what is written is
# read back or refused: try_stack TARGET FILTER...
try_stack() {
    local target=$1 filter number=0 writes=1 zoned=() words=() lines names
    shift
    [ "$target" != zoned ] || [[ " $* " != *' offset '* ]] || return 0 # it has no parts
    for filter in "$@"; do
        words+=(--filter "$(filter_words "$filter" $((++number)))")
        [ "$filter" != readonly ] || writes=0
    done
    rm -f "$log".*
    make_target "$target" "${words[@]}"
    names=$(ublkd show "$dev" --json | jq -r '[.filters[].name] | join(" ")')
    [ "$names" = "$*" ] || fail "$target has the filters $names, not $*"
    [ "$target" != zoned ] || zoned=(--zonemode=zbd --max_open_zones=2)
    if [ "$writes" -eq 0 ]; then
        [ "$(blockdev --getro "$dev")" -eq 1 ] || fail "$* on $target can be written"
        dd if="$dev" of=/dev/null bs=64k count=4 iflag=direct status=none ||
            fail "$* on $target cannot be read"
    elif [ "$target" = null ]; then
        dd if="$dev" of=/dev/null bs=64k count=4 iflag=direct status=none ||
            fail "$* on $target cannot be read"
    else
        fio --name=verify --filename="$dev" --ioengine=psync --direct=1 --rw=write --bs=32k \
            --size=1M --verify=crc32c --verify_fatal=1 --do_verify=1 --eta=never \
            "${zoned[@]}" >"$UBLK_TEST_DIR/fio" 2>&1 ||
            fail "$* on $target: $(<"$UBLK_TEST_DIR/fio")"
    fi
    for lines in "$log".*; do
        [ ! -e "$lines" ] || [ -s "$lines" ] || fail "$* on $target: no line in the log"
    done
    del_dev "$dev"
    stacks=$((stacks + 1))
}

image=$(make_image disk 4M)
stacks=0
for target in "${targets[@]}"; do
    for filter in "${filters[@]}"; do
        try_stack "$target" "$filter"
    done
done
turn=0
for outer in "${!filters[@]}"; do
    for inner in "${!filters[@]}"; do
        if [ "$(amount usual full)" = full ]; then
            chosen=("${targets[@]}")
        elif [ "$inner" -eq $(((outer + 1) % 6)) ] || [ "$inner" -eq $(((outer + 3) % 6)) ]; then
            chosen=("${targets[turn++ % 4]}")
        else
            continue
        fi
        for target in "${chosen[@]}"; do
            try_stack "$target" "${filters[outer]}" "${filters[inner]}"
        done
    done
done
figure "$stacks stacks"
expect_nothing_left
