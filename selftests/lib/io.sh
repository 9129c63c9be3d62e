# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Vocabulary of the tests that do I/O, beside lib.sh: things to serve, load, and what the kernel
# tells about a disk. Sourced after lib.sh.

# A sparse file to serve: make_image NAME SIZE prints its path.
make_image() {
    local path=$UBLK_TEST_DIR/$1
    truncate -s "$2" "$path"
    echo "$path"
}

# A file of bytes that do not repeat: make_noise NAME MIB prints its path.
make_noise() {
    local path=$UBLK_TEST_DIR/$1
    dd if=/dev/urandom of="$path" bs=1M count="$2" status=none
    echo "$path"
}

# A disk of the kernel's null_blk driver: make_nullb NUMBER [ATTRIBUTE=VALUE]... prints its node.
make_nullb() {
    local name=nullb$1 dir attribute
    dir=/sys/kernel/config/nullb/$name
    shift
    modprobe null_blk nr_devices=0 || fail "cannot load null_blk"
    if ! mountpoint -q /sys/kernel/config; then
        mount -t configfs configfs /sys/kernel/config
        on_exit umount /sys/kernel/config
    fi
    mkdir "$dir"
    on_exit rmdir "$dir"
    for attribute in "$@"; do
        echo "${attribute#*=}" >"$dir/${attribute%%=*}"
    done
    echo 1 >"$dir/power"
    on_exit eval "echo 0 >$dir/power"
    wait_until 10 test -b "/dev/$name" || fail "/dev/$name does not appear"
    echo "/dev/$name"
}

# A disk of the kernel's loop driver on a file: make_loop FILE [OPTION]... prints its node.
make_loop() {
    local file=$1 loop
    shift
    modprobe loop || fail "cannot load loop"
    loop=$(losetup --find --show "$@" "$file") || fail "cannot make a loop device on $file"
    on_exit losetup -d "$loop"
    echo "$loop"
}

# What the kernel tells of a disk's queue: queue_limit DEV NAME
queue_limit() {
    cat "/sys/block/${1##*/}/queue/$2"
}

expect_limit() {
    local found
    found=$(queue_limit "$1" "$2")
    [ "$found" = "$3" ] || fail "$2 of $1 is $found, not $3"
}

device_number() {
    lsblk --nodeps --noheadings --output MAJ:MIN "$1" | tr -d ' '
}

# Mounts until the test ends: mount_dev DEV DIRECTORY [OPTION]...
mount_dev() {
    local dev=$1 directory=$2
    shift 2
    mkdir -p "$directory"
    mount "$@" "$dev" "$directory"
    on_exit unmount_if_mounted "$directory"
}

unmount_if_mounted() {
    ! mountpoint -q "$1" || umount "$1"
}

# Writes blocks of random sizes at random places and reads them back, all compared by checksum:
# fio_verify DEV [OPTION]... Every job has a region of its own.
fio_verify() {
    local dev=$1
    shift
    fio --name=verify --filename="$dev" --ioengine=libaio --iodepth=16 --rw=randwrite \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --eta=never --group_reporting "$@" ||
        fail "fio does not verify $dev ($*)"
}

# Load for a test to do things under: fio_verify again and again, until fio_verify_ends. Run it in the
# background: fio_verify_on DEV [OPTION]...
fio_verify_on() {
    until [ -e "$UBLK_TEST_DIR/.enough" ]; do
        fio_verify "$@" >"$UBLK_TEST_DIR/fio.log" 2>&1 || fail "fio: $(<"$UBLK_TEST_DIR/fio.log")"
    done
}

# Ends that load, of which no part may have failed: fio_verify_ends PID
fio_verify_ends() {
    touch "$UBLK_TEST_DIR/.enough"
    finishes_within 120 "$1" || fail "fio hangs: $(<"$UBLK_TEST_DIR/fio.log")"
    [ "$STATUS" -eq 0 ] || fail "fio saw an error"
    rm "$UBLK_TEST_DIR/.enough"
}

# fio_verify for a device with 1 and 2 queues, by direct and buffered I/O:
# verify_all_ways SMALLEST_BLOCK TARGET [OPTION]...
verify_all_ways() {
    local smallest=$1 queues direct dev
    shift
    for queues in 1 2; do
        dev=$(add_dev "$@" --queues "$queues")
        for direct in 1 0; do
            echo "# $* queues=$queues direct=$direct"
            fio_verify "$dev" --direct="$direct" --bsrange="$smallest-128k" --randseed="$RANDOM" \
                --numjobs="$queues" --size=4M --offset_increment=4M \
                --cpus_allowed=0-$((queues - 1)) --cpus_allowed_policy=split
        done
        del_dev "$dev"
    done
}

# The guest's clock, in milliseconds.
now_ms() {
    local seconds
    read -r seconds _ </proc/uptime
    seconds=${seconds/./}
    echo $((10#$seconds * 10))
}

# Waits until a background job of this shell ends; its status is then in STATUS:
# finishes_within SECONDS PID
finishes_within() {
    wait_until "$1" process_is_gone "$2" || return 1
    # shellcheck disable=SC2034 # the caller's
    STATUS=0
    # shellcheck disable=SC2034
    wait "$2" || STATUS=$?
}

# Requests that a disk has not answered yet.
requests_in_flight() {
    awk '{ print $1 + $2 }' "/sys/block/${1##*/}/inflight"
}

in_flight_at_least() {
    [ "$(requests_in_flight "$1")" -ge "$2" ]
}

# How many requests a disk has completed.
requests_done() {
    awk '{ print $1 + $5 }' "/sys/block/${1##*/}/stat"
}

requests_done_at_least() {
    [ "$(requests_done "$1")" -ge "$2" ]
}

# An instance of the kernel's tracing that is removed with the test: new_trace NAME prints its
# directory.
new_trace() {
    local dir=/sys/kernel/tracing/instances/ublk-$1
    mkdir "$dir"
    on_exit rmdir "$dir"
    echo "$dir"
}

# Records an event from now on: trace_event TRACE SYSTEM/EVENT [FILTER]
trace_event() {
    local event=$1/events/$2
    [ -z "${3:-}" ] || echo "$3" >"$event/filter"
    echo 1 >"$event/enable"
}

# How many events a trace has seen since it was cleared, lost ones included.
trace_count() {
    awk '/^(entries|overrun|dropped events):/ { sum += $NF } END { print sum }' \
        "$1"/per_cpu/cpu*/stats
}

clear_trace() {
    echo >"$1/trace"
}

driver_is_built_in() {
    [ "${UBLK_MODULE:-}" = built-in ]
}

# For tests that are about the module.
needs_module() {
    ! driver_is_built_in || skip "the driver is built in"
}

# The module, out and in again.
unload_module() {
    wait_until 10 rmmod_quietly || fail "the module does not unload: $(rmmod ublk_drv 2>&1)"
    on_exit load_module
}

rmmod_quietly() {
    rmmod ublk_drv 2>/dev/null
}

load_module() {
    [ ! -e /sys/module/ublk_drv ] || return 0
    if [ "${UBLK_DRIVER:-ours}" = in-tree ]; then
        modprobe ublk_drv
    else
        insmod "${UBLK_MODULE:-$UBLK_ROOT/build/module/$UBLK_KERNEL/ublk_drv.ko}"
    fi
}

# Nothing uses the module any more, or, if it is built in, the kernel does not count.
expect_unloadable() {
    ! driver_is_built_in || return 0
    unload_module
    load_module
}

# Everything of ours that exists on this machine, for comparison. Without other programs: it is
# called often. The lock of the records is there since the first of them.
what_is_there() {
    local path name
    for path in /dev/ublk[bc]* /sys/class/ublk-char/* /sys/block/ublk* /run/ublkd/* /run/ublkd/.[!.]* \
        /sys/kernel/debug/block/ublk*; do
        [ ! -e "$path" ] || [ "$path" = /run/ublkd/.lock ] || echo "$path"
    done
    for path in /proc/[0-9]*; do
        if read -r name 2>/dev/null <"$path/comm" && [ "$name" = ublkd ]; then
            echo "process ${path##*/}"
        fi
    done
}

# The remains of an earlier test are not this one's fault.
THERE_AT_START=$(what_is_there)

nothing_is_left() {
    [ "$(what_is_there)" = "$THERE_AT_START" ]
}

expect_nothing_left() {
    wait_until 10 nothing_is_left ||
        fail "left behind: $(diff <(echo "$THERE_AT_START") <(what_is_there) | grep '^[<>]')"
}

# A trace filter for events whose call_site lies in the driver's code.
module_range() {
    local start size
    start=$(cat /sys/module/ublk_drv/sections/.text)
    size=$(awk '$1 == "ublk_drv" { print $2 }' /proc/modules)
    printf 'call_site >= %s && call_site < 0x%x\n' "$start" $((start + size))
}
