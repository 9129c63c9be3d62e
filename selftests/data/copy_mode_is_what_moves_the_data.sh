#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The way that was asked for with --copy is the one that data take: show tells it, data come back, and
# the server needs as much memory as that way does: a buffer per tag if the driver copies, one per
# request at a time if the server does, none if nobody does. User copy needs no worker threads.
# modes: driver user zero
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

# Memory of its own that a process has touched, in KiB.
own_memory() {
    awk '$1 == "Anonymous:" { print $2 }' "/proc/$1/smaps_rollup"
}
# Reads or writes of 128 KiB, one at a time, as many as there are tags and more.
one_at_a_time() {
    fio --name=one --filename="$dev" --ioengine=psync --rw="$1" --bs=128k --size=32M --direct=1 \
        --eta=never >/dev/null || fail "fio $1 fails"
}

image=$(make_image disk 32M)
dev=$(add_dev loop file="$image" --depth 64)
run_expect 0 ublkd show "$dev" --json
jq -e --arg mode "$MODE" '.copy == {mode: $mode, reason: "asked for"}' <<<"$OUT" >/dev/null ||
    fail "show tells another way: $OUT"
server=$(server_pid "$dev")
before=$(own_memory "$server")
one_at_a_time write
one_at_a_time read
after=$(own_memory "$server")
grown=$((after - before))
echo "# $MODE: $after KiB, $grown KiB more"
case $MODE in
# The tags of one word of the tag map come in turn, 16 of the 64. Growth would leave out what reading
# the partition table has touched of their buffers before.
driver) [ "$after" -ge $((16 * 128)) ] || fail "the driver copied to $after KiB" ;;
user) [ "$grown" -le 512 ] || fail "$grown KiB for one request at a time" ;;
zero) [ "$grown" -le 64 ] || fail "$grown KiB for data that nobody copies" ;;
esac
fio_verify "$dev" --direct=1 --bsrange=512-128k --size=8M
fio_verify "$dev" --direct=0 --bsrange=512-128k --size=8M
del_dev "$dev"

# The kernel's own driver lets io_uring believe that a copy may wait.
if [ "$MODE" = user ] && [ "${UBLK_DRIVER:-ours}" = ours ]; then
    dev=$(add_dev ram size=32M)
    server=$(server_pid "$dev")
    one_at_a_time write
    one_at_a_time read
    # The first thread's worker is that of its control commands.
    ! cat "/proc/$server/task/"*/comm | grep -v "iou-wrk-$server\$" | grep iou-wrk ||
        fail "copying needs worker threads"
    del_dev "$dev"
fi
