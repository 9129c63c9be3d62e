# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Tells whether memory was lost by something that was done many times. Sourced after io.sh.

# udev ends its workers when they have had nothing to do for some seconds. Each has memory of its
# own: under load one more or less than before looked like a leak. Looking through all of /proc
# would fill the caches that are counted.
udevd=$(pgrep --oldest udevd)
udev_has_no_workers() {
    local workers
    workers=$(cat "/proc/$udevd/task/$udevd/children") ||
        fail "the kernel does not tell udev's workers (CONFIG_PROC_CHILDREN)"
    [ -z "$workers" ]
}

# A directory can go only after what is in it, and what was used lately gets another chance; the
# kernel itself ends when a round frees little. Hundreds of /proc's inodes were left like that.
drop_caches() {
    local unused before
    read -r _ unused _ </proc/sys/fs/dentry-state
    while
        before=$unused
        echo 3 >/proc/sys/vm/drop_caches
        read -r _ unused _ </proc/sys/fs/dentry-state
        [ "$unused" -lt "$before" ]
    do :; done
}

# What memory is in use once all that can be freed was: NAME COUNT OBJECTS_PER_SLAB lines.
# Much of what is dropped is freed by RCU later: a network device that goes away waits for all of
# RCU's callbacks. Freed vmalloc areas wait until enough have come together, or until the kernel
# changes page protections, as it does for a module's. Shrinking gives back the free objects that
# slabs keep ready for each CPU, which would count as used. Whatever is allocated then has some made
# ready again, up to four slabs of them: so all files are open before, no program starts, and udev
# does not look at the device.
memory_in_use() {
    local cache file slabs totals slab_lines total_lines
    local -a shrink=()
    udevadm settle
    wait_until 60 udev_has_no_workers || fail "udev's workers do not end"
    udevadm control --stop-exec-queue
    for cache in /sys/kernel/slab/*/shrink; do
        exec {file}>"$cache"
        shrink+=("$file")
    done
    exec {slabs}</proc/slabinfo {totals}</proc/meminfo
    sync
    drop_caches
    modprobe dummy numdummies=1
    rmmod dummy
    for file in "${shrink[@]}"; do
        echo 1 >&"$file"
    done
    mapfile -t -u "$slabs" slab_lines
    mapfile -t -u "$totals" total_lines
    for file in "$slabs" "$totals" "${shrink[@]}"; do
        exec {file}>&-
    done
    printf '%s\n' "${slab_lines[@]:2}" | awk '{ print $1, $2, $5 }'
    printf '%s\n' "${total_lines[@]}" |
        awk '$1 == "Percpu:" || $1 == "VmallocUsed:" { print $1, $2, 0 }'
    udevadm control --start-exec-queue
}

# A leak of one object per cycle makes a cache grow by the number of cycles, and a leaked kilobyte of
# per-CPU or vmalloc memory per cycle shows as that many KiB. Half of that, and 100 at least, is far
# more than the caches of unrelated things moved in 200 cycles on an idle machine (below 40). A slab
# that a CPU allocates from counts as full, so less than a slab for each CPU says nothing: that matters
# for the smallest objects only (170 of them make a page of lsm_file_cache).
#
# debug_objects_cache is where kernels that check objects keep some hundred of their own ready; one
# that is lost shows in the cache that it belongs to. Kernel stacks are not counted, because a lost
# task shows in task_struct, and the stacks of some more of the kernel's own workers looked like a leak.
memory_that_grew() {
    join <(sort "$UBLK_TEST_DIR/memory-before") <(sort "$UBLK_TEST_DIR/memory-after") |
        awk -v most=$(($1 > 200 ? $1 / 2 : 100)) -v cpus="$(nproc)" \
            '$1 != "debug_objects_cache" && $4 - $2 > most && $4 - $2 > cpus * $3 {
                print $1 ": " $2 " -> " $4
            }'
}

# Call it when everything that is allocated once has been: after a few cycles.
remember_memory() {
    on_exit udevadm control --start-exec-queue
    what_is_there >"$UBLK_TEST_DIR/files-before"
    memory_in_use >"$UBLK_TEST_DIR/memory-before"
}

# So many cycles later nothing may have grown with their number: expect_no_leak CYCLES
expect_no_leak() {
    local grew
    memory_in_use >"$UBLK_TEST_DIR/memory-after"
    join <(sort "$UBLK_TEST_DIR/memory-before") <(sort "$UBLK_TEST_DIR/memory-after") |
        awk '$4 > $2 { print "# " $1 " +" $4 - $2 }' | sort -t + -k 2 -n | tail -n 8
    grew=$(memory_that_grew "$1")
    [ -z "$grew" ] || fail "memory grew: $grew"
    what_is_there | cmp - "$UBLK_TEST_DIR/files-before" || fail "files were left: $(what_is_there)"
    expect_nothing_left
}
