#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --copy shmem: what fio writes and reads in memory that it shares with the server is verified and moved
# by nobody, which the driver's tracepoint counts; what it does in memory of its own is verified, copied
# and counted. show tells the way and the memory, and at the end the memory is free again.
# modes: hugetlbfs+shmem shm+shmem memfd+shmem
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature SHMEM_ZC
[ "${UBLK_DRIVER:-ours}" = ours ] || skip "this driver has no tracepoint for copies"

size=$((8 << 20))
free_huge_pages() {
    awk '$1 == "HugePages_Free:" { print $2 }' /proc/meminfo
}
# Memory of a process that gives it no name: its place in procfs is told instead.
hold_memfd() {
    exec python3 -c "
import os, sys
memory = os.memfd_create('shared')
os.ftruncate(memory, $size)
print(f'/proc/{os.getpid()}/fd/{memory}', flush=True)
sys.stdin.read()"
}
before=$(free_huge_pages)
case $MODE in
hugetlbfs)
    # hugetlb_split() asserts a lock that 6.1 takes only after it, whoever unmaps huge pages in parts.
    [[ ! -e /proc/lockdep || $(uname -r) != 6.1.* ]] || skip "this kernel's own check of locks fails"
    old=$(</proc/sys/vm/nr_hugepages)
    echo $((old + 8)) >/proc/sys/vm/nr_hugepages
    on_exit eval "echo $old >/proc/sys/vm/nr_hugepages"
    before=$(free_huge_pages)
    mkdir "$UBLK_TEST_DIR/huge"
    mount -t hugetlbfs none "$UBLK_TEST_DIR/huge"
    on_exit umount "$UBLK_TEST_DIR/huge"
    file=$UBLK_TEST_DIR/huge/shared
    truncate -s "$size" "$file"
    kind=mmaphuge
    ;;
shm)
    file=/dev/shm/ublk-shared
    truncate -s "$size" "$file"
    on_exit rm -f "$file"
    kind=mmapshared
    ;;
memfd)
    mkfifo "$UBLK_TEST_DIR/end"
    hold_memfd <"$UBLK_TEST_DIR/end" >"$UBLK_TEST_DIR/place" &
    holder=$!
    exec {end}>"$UBLK_TEST_DIR/end"
    wait_until 20 test -s "$UBLK_TEST_DIR/place" || fail "no memfd"
    file=$(<"$UBLK_TEST_DIR/place")
    kind=mmapshared
    ;;
esac
# fio removes the file it maps, so it gets a name of its own: verified_in shared|own
verified_in() {
    local memory=()
    exec {mapped}<>"$file"
    [ "$1" = own ] || memory=(--iomem="$kind:/proc/$$/fd/$mapped" --hugepage-size=2M)
    clear_trace "$trace"
    fio_verify "$dev" --direct=1 --bs=64k --size=8M "${memory[@]}" >"$UBLK_TEST_DIR/fio.log" ||
        fail "$(<"$UBLK_TEST_DIR/fio.log")"
    exec {mapped}>&-
}

trace=$(new_trace copies)
trace_event "$trace" ublk/ublk_copy
image=$(make_image disk 16M)
for target in "ram size=16M" "loop file=$image"; do
    # shellcheck disable=SC2086 # words
    dev=$(add_dev $target --shmem "$file")
    ublkd show "$dev" --json | jq -e --arg file "$file" \
        '.copy == {mode: "shmem", reason: "asked for", shmem: $file}' >/dev/null ||
        fail "show tells another way: $(ublkd show "$dev")"
    udevadm settle
    verified_in shared
    copied=$(trace_count "$trace")
    [ "$copied" -eq 0 ] || fail "${target%% *}: $copied copies of what lies in shared memory"
    [ "$(requests_done "$dev")" -ge 256 ] || fail "fio has done $(requests_done "$dev") requests"
    verified_in own
    copied=$(trace_count "$trace")
    echo "# ${target%% *} in $MODE: 0 copies in shared memory, $copied in fio's own"
    [ "$copied" -ge 256 ] || fail "${target%% *}: $copied copies of what lies in fio's own memory"
    # What one way has written the other reads.
    fio_verify "$dev" --direct=1 --bsrange=512-128k --size=8M
    del_dev "$dev"
done

if [ "$MODE" = hugetlbfs ]; then
    rm "$file"
    wait_until 10 test "$(free_huge_pages)" -eq "$before" || fail "huge pages are still taken"
elif [ "$MODE" = memfd ]; then
    exec {end}>&-
    wait "$holder" || fail "the holder of the memory failed"
fi
