#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A ram device takes its memory from the reserved huge pages, all of it at once, and gives it back;
# if there are too few, add says so and leaves nothing behind.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

free_pages() {
    awk '/^HugePages_Free:/ { print $2 }' /proc/meminfo
}
before=$(cat /proc/sys/vm/nr_hugepages)
on_exit sysctl -q -w vm.nr_hugepages="$before"
echo 3 >/proc/sys/vm/drop_caches
sysctl -q -w vm.nr_hugepages=16
[ "$(free_pages)" -eq 16 ] || fail "only $(free_pages) huge pages for the test"

dev=$(add_dev ram size=32M hugepages=yes)
fio_verify "$dev" --direct=1 --bsrange=512-64k --size=16M
run_expect 5 ublkd add ram size=32M hugepages=yes
[[ $ERR == *nr_hugepages* ]] || fail "not a word about what to do: $ERR"
del_dev "$dev"
[ "$(free_pages)" -eq 16 ] || fail "huge pages are lost: $(free_pages) of 16"
