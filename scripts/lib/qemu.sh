# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Which QEMU runs the virtual machines. QEMU 7.2 of bookworm corrupts guests that patch static
# keys under TCG, so an older machine gets trixie's, unpacked into the cache and never installed.

QEMU_ROOT=$CACHE/qemu

machine_qemu_is_new_enough() {
    local version
    command -v qemu-system-x86_64 >/dev/null || return 1
    version=$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 10 ]
}

qemu_ready() {
    machine_qemu_is_new_enough || stamp_matches qemu "$(qemu_key)"
}

# Raise the number when fetch_qemu() makes something else than before.
qemu_key() {
    echo 'recipe 1'
}

fetch_qemu() {
    apt_root_update trixie
    say "fetching QEMU"
    rm -rf "$QEMU_ROOT" "$CACHE/fetch/qemu"
    fetch_closure trixie "$CACHE/fetch/qemu" qemu-system-x86
    unpack_packages "$CACHE/fetch/qemu" "$QEMU_ROOT"
    rm -rf "$CACHE/fetch/qemu"
    write_stamp qemu "$(qemu_key)"
}

# Fills the array QEMU with the command that starts it. The unpacked one runs under its own
# loader and C library, which the machine's need not match.
qemu_command() {
    if machine_qemu_is_new_enough; then
        QEMU=(qemu-system-x86_64)
        return
    fi
    stamp_matches qemu "$(qemu_key)" || die "QEMU is missing: run scripts/setup vm"
    # shellcheck disable=SC2034 # the caller's
    QEMU=("$QEMU_ROOT/usr/lib64/ld-linux-x86-64.so.2"
        --library-path "$QEMU_ROOT/usr/lib/x86_64-linux-gnu"
        "$QEMU_ROOT/usr/bin/qemu-system-x86_64"
        -L "$QEMU_ROOT/usr/share/qemu" -L "$QEMU_ROOT/usr/share/seabios"
        -L "$QEMU_ROOT/usr/lib/ipxe/qemu")
}
