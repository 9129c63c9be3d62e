#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What fio writes to the zones of a zoned disk, sequentially and at random, from one and two processors
# at a time, it reads back; also after the disk was detached and attached again.
# modes: ram+user file+user
# timeout: 300
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/zoned.sh"

# Jobs of their own zones: zbd_fio DEV JOBS [OPTION]...
zbd_fio() {
    local dev=$1 jobs=$2
    shift 2
    fio --name=zones --filename="$dev" --zonemode=zbd --direct=1 --ioengine=libaio --iodepth=8 \
        --bsrange=4k-64k --bs_unaligned=0 --blockalign=4k --verify=crc32c --verify_fatal=1 \
        --numjobs="$jobs" --size=8M --offset_increment=16M --eta=never --group_reporting "$@" ||
        fail "fio does not verify $dev ($*)"
}

dev=$(add_zoned size=64M zone-size=4M zone-capacity=3M conventional=2 max-open=8 --queues 2)
for rw in write randwrite; do
    blkzone reset --offset $((2 * $(queue_limit "$dev" chunk_sectors))) "$dev"
    zbd_fio "$dev" 1 --rw="$rw" --offset=8M --do_verify=1 --max_open_zones=4
    blkzone reset --offset $((2 * $(queue_limit "$dev" chunk_sectors))) "$dev"
    zbd_fio "$dev" 2 --rw="$rw" --offset=8M --do_verify=1 --job_max_open_zones=2
done
# The first 16 MB are two conventional zones and two others.
blkzone reset --offset $((2 * $(queue_limit "$dev" chunk_sectors))) "$dev"
fio --name=pattern --filename="$dev" --zonemode=zbd --direct=1 --rw=write --bs=64k --size=16M \
    --verify=crc32c --do_verify=0 --end_fsync=1 --eta=never || fail "fio cannot write"
before=$(blkzone report "$dev" | sed 's/(oi)/(cl)/; s/zcond: *[0-9]*/zcond/')
dev=$(attach_again "$dev")
after=$(blkzone report "$dev" | sed 's/(oi)/(cl)/; s/zcond: *[0-9]*/zcond/')
[ "$before" = "$after" ] || fail "other zones: $(diff <(echo "$before") <(echo "$after"))"
# Not as a write job with --verify_only, whose dry run resets full zones.
fio --name=pattern --filename="$dev" --zonemode=zbd --direct=1 --rw=read --bs=64k --size=16M \
    --verify=crc32c --verify_fatal=1 --eta=never || fail "the data are not there"
