# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What a test may not leave behind: ublk devices, processes, mounts, uses of the module. Done with
# the shell's own means mostly: in an emulated guest, starting programs costs more than the test.

# Where the kernel shows ublk devices; the harness tests show their own.
CLASS_DIR=${UBLK_TEST_CLASS_DIR:-/sys/class/ublk-char}
REFERENCES=${UBLK_TEST_REFERENCES:-/sys/module/ublk_drv/refcnt}
# Exit and removal are asynchronous in places; this is how many seconds they may take.
GRACE=${UBLK_TEST_GRACE:-5}

# Fills DEVICES, SERVERS, MOUNTS (one word per item) and USES with what is there now.
look_around() {
    local path name mount
    DEVICES=() SERVERS=() MOUNTS=() USES=0
    for path in "$CLASS_DIR"/*; do
        [ ! -e "$path" ] || DEVICES+=("${path##*/}")
    done
    for path in /proc/[0-9]*/comm; do
        if read -r name 2>/dev/null <"$path" && [[ $name == ublkd* ]]; then
            path=${path%/comm}
            SERVERS+=("${path#/proc/}")
        fi
    done
    while read -r _ mount _; do
        MOUNTS+=("$mount")
    done </proc/self/mounts
    [ ! -r "$REFERENCES" ] || read -r USES <"$REFERENCES"
}

# Remembers what was there before, so that one test's remains are not held against the next.
remember_state() {
    look_around
    DEVICES_BEFORE=" ${DEVICES[*]} " SERVERS_BEFORE=" ${SERVERS[*]} "
    MOUNTS_BEFORE=" ${MOUNTS[*]} " USES_BEFORE=$USES
}

# Fills NEW with those arguments that are not in the list given first.
only_new() {
    local before=$1 word
    shift
    NEW=()
    for word in "$@"; do
        [[ $before == *" $word "* ]] || NEW+=("$word")
    done
}

# Fills PROCESSES with those that have it in their environment: processes_with VARIABLE=VALUE
processes_with() {
    local path
    PROCESSES=()
    while read -r path; do
        path=${path#/proc/}
        PROCESSES+=("${path%/environ}")
    done < <(grep -lzsxF "$1" /proc/[0-9]*/environ)
}

# Processes of a test carry its identity with them, whatever session they moved to.
processes_of_test() {
    processes_with "UBLK_TEST_ID=$1"
}

# Adds a process to FOUND, unless it has gone meanwhile.
found_process() {
    local words
    mapfile -d '' -t words 2>/dev/null <"/proc/$1/cmdline" || return 0
    [ "${#words[@]}" -eq 0 ] || FOUND+=("left process $1: ${words[*]}")
}

# Fills FOUND with what a test left behind.
look_for_leftovers() {
    local item
    FOUND=()
    look_around
    only_new "$DEVICES_BEFORE" "${DEVICES[@]}"
    [ "${#NEW[@]}" -eq 0 ] || FOUND+=("left devices: ${NEW[*]}")
    processes_of_test "$1"
    only_new "$SERVERS_BEFORE ${PROCESSES[*]} " "${SERVERS[@]}"
    for item in "${PROCESSES[@]}" "${NEW[@]}"; do
        found_process "$item"
    done
    only_new "$MOUNTS_BEFORE" "${MOUNTS[@]}"
    [ "${#NEW[@]}" -eq 0 ] || FOUND+=("left mounts: ${NEW[*]}")
    [ "$USES" = "$USES_BEFORE" ] || FOUND+=("the module's use count went from $USES_BEFORE to $USES")
}

# As look_for_leftovers, once nothing changes any more.
find_leftovers() {
    local deadline=$((SECONDS + GRACE))
    look_for_leftovers "$1"
    while [ "${#FOUND[@]}" -gt 0 ] && [ "$SECONDS" -lt "$deadline" ]; do
        sleep 0.1
        look_for_leftovers "$1"
    done
}

# The next test must not suffer from this one.
remove_leftovers() {
    local item
    look_around
    processes_of_test "$1"
    for item in "${PROCESSES[@]}"; do
        kill -KILL "$item" 2>/dev/null || :
    done
    only_new "$MOUNTS_BEFORE" "${MOUNTS[@]}"
    for item in "${NEW[@]}"; do
        umount -l "$item" || :
    done
    only_new "$DEVICES_BEFORE" "${DEVICES[@]}"
    for item in "${NEW[@]}"; do
        timeout 20 "$ROOT/userspace/ublkd" del --force "${item#ublkc}" || :
    done
}
