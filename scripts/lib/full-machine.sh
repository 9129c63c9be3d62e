# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What servers usually have installed and look at every new disk with: packages unpacked into the
# cache and laid over the root of guests that ask for it, never installed. So a bare machine tests
# the same as one that has them.

FULL_MACHINE_ROOT=$CACHE/full-machine
FULL_MACHINE_PACKAGES=(lvm2 mdadm bcache-tools multipath-tools thin-provisioning-tools qemu-utils)

full_machine_ready() {
    stamp_matches full-machine "$(full_machine_key)"
}

# Raise the number when fetch_full_machine() makes something else than before.
full_machine_key() {
    printf 'recipe 1: %s\n' "${FULL_MACHINE_PACKAGES[*]}"
}

# With all they depend on, the C library included, so that everything in there fits together. The
# links keep the directories of an old layout from hiding those of the machine.
fetch_full_machine() {
    local name
    apt_root_update bookworm
    say "fetching ${FULL_MACHINE_PACKAGES[*]}"
    rm -rf "$FULL_MACHINE_ROOT" "$CACHE/fetch/full-machine"
    fetch_closure bookworm "$CACHE/fetch/full-machine" "${FULL_MACHINE_PACKAGES[@]}"
    mkdir -p "$FULL_MACHINE_ROOT/usr/"{bin,sbin,lib,lib64}
    for name in bin sbin lib lib64; do
        ln -s "usr/$name" "$FULL_MACHINE_ROOT/$name"
    done
    unpack_packages "$CACHE/fetch/full-machine" "$FULL_MACHINE_ROOT"
    rm -rf "$CACHE/fetch/full-machine"
    write_stamp full-machine "$(full_machine_key)"
}
