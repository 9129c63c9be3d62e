#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ublkd add --shmem with memory that cannot be shared, or for another copy mode: one clear error. auto
# takes shared memory only if there is some. A server that takes over has it, too, or copies without.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

shared=/dev/shm/ublk-shared
truncate -s 1M "$shared"
on_exit rm -f "$shared"
image=$(make_image disk 8M)
copy_of() {
    ublkd show "$dev" --json | jq -c .copy
}
expect_error 1 "--shmem FILE" add null --copy shmem
expect_error 1 "leave --shmem out" add null --copy driver --shmem "$shared"
expect_error 2 "create it" add null --copy shmem --shmem /dev/shm/nothing
expect_error 1 "hugetlbfs or in /dev/shm" add null --copy shmem --shmem "$image"
truncate -s 1000 "$shared"
expect_error 1 "whole pages" add null --copy shmem --shmem "$shared"
truncate -s 1M "$shared"

if ! ublkd features --json | jq -e '.driver.features | any(. == "SHMEM_ZC")' >/dev/null; then
    expect_error 6 "lacks SHMEM_ZC" add null --copy shmem --shmem "$shared"
    dev=$(add_dev null --shmem "$shared")
    [[ $(copy_of) == *'"driver"'*"lacks SHMEM_ZC"* ]] || fail "auto: $(copy_of)"
    exit 0
fi
dev=$(add_dev null --shmem "$shared")
[[ $(copy_of) == *'"shmem"'*"there is shared memory"* ]] || fail "auto: $(copy_of)"
dev=$(add_dev null)
[[ $(copy_of) != *shmem* ]] || fail "auto takes shared memory that is not there: $(copy_of)"

cd /dev/shm
dev=$(add_dev loop file="$image" --copy shmem --shmem "${shared##*/}" --recovery queue)
cd /
[[ $(copy_of) == *"\"shmem\":\"$shared\""* ]] || fail "a relative name: $(copy_of)"
fio_verify "$dev" --direct=1 --bsrange=512-128k --size=8M
run_expect 0 ublkd quiesce "$dev"
run_expect 0 ublkd recover "$dev"
[[ $(copy_of) == *'"shmem"'*"there is shared memory"* ]] || fail "recovered: $(copy_of)"
rm "$shared"
run_expect 0 ublkd quiesce "$dev"
run_expect 0 ublkd recover "$dev"
[[ $(copy_of) == *'"shmem"'*"all is copied: shared memory $shared"* ]] || fail "gone: $(copy_of)"
fio_verify "$dev" --direct=1 --bsrange=512-128k --size=8M
