#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Serving 100,000 requests allocates nothing in the server: every call for memory, of the C library
# or of the kernel, is counted in it, on the null, ram and loop targets.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

counter=$UBLK_ROOT/build/selftests/resources/count_allocations.so
[ -e "$counter" ] || fail "not built: run make -C selftests"
counts=$UBLK_TEST_DIR/counts

# Calls for memory of a process so far: allocations PID
allocations() {
    od -An -v -w16 -td8 "$counts" | awk -v pid="$1" '$1 == pid { print $2; found = 1 }
        END { exit !found }' || fail "the counter does not know process $1"
}

# serve REQUESTS TARGET...: requests of all kinds; the server must not allocate for them.
serve() {
    local requests=$1 dev server before after served
    shift
    : >"$counts"
    dev=$(LD_PRELOAD=$counter COUNT_ALLOCATIONS_FILE=$counts add_dev "$@" --queues 2)
    server=$(server_pid "$dev")
    before=$(allocations "$server")
    # It allocates when it starts; a counter that sees nothing would see no leak either.
    [ "$before" -gt 100 ] || fail "$*: the counter does not count ($before)"
    fio --name=load --filename="$dev" --ioengine=libaio --iodepth=64 --rw=randrw --direct=1 \
        --bssplit=512/40:4k/40:32k/20 --number_ios=$((requests / 2)) --numjobs=2 --thread \
        --size=48M --io_size=1T --fsync=100 --eta=never --norandommap >"$UBLK_TEST_DIR/fio.log" ||
        fail "$*: fio fails"
    blkdiscard --offset 1M --length 1M "$dev"
    blkdiscard --zeroout --offset 2M --length 1M "$dev"
    after=$(allocations "$server")
    served=$(requests_done "$dev")
    echo "# $*: $served requests, $before allocations before, $((after - before)) during them"
    [ "$served" -ge "$requests" ] || fail "$*: only $served requests"
    [ "$after" -eq "$before" ] || fail "$*: $((after - before)) allocations for $served requests"
    del_dev "$dev"
}
image=$(make_image disk 64M)
serve 100000 null size=64M
serve 10000 ram size=64M
serve 10000 loop file="$image"
