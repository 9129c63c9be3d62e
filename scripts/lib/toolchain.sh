# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The root with trixie's compiler and the headers of kernel 7.3: that kernel's build programs need
# a newer C library than the machine has. scripts/lib/toolchain-7.3 runs commands in it.

TOOLCHAIN_ROOT=$CACHE/toolchain-7.3

TOOLCHAIN_PACKAGES=(base-files bash coreutils dash diffutils findutils gawk gcc grep libelf1t64
    libssl3t64 make sed perl-base zlib1g)

# The headers must be those of the kernel the tests boot, so they follow it.
toolchain_key() {
    printf 'recipe 1: %s %s\n' "$(kernel_release 7.3)" "${TOOLCHAIN_PACKAGES[*]}"
}

toolchain_ready() {
    stamp_matches toolchain-7.3 "$(toolchain_key)"
}

fetch_toolchain() {
    local release directory=$CACHE/fetch/toolchain
    release=$(kernel_release 7.3) || die "kernel 7.3 must be fetched before its toolchain"
    apt_root_update trixie
    say "fetching the toolchain and headers for $release"
    rm -rf "$TOOLCHAIN_ROOT" "$directory"
    fetch_closure trixie "$directory" "${TOOLCHAIN_PACKAGES[@]}" "linux-headers-$release"
    # First, because it makes /lib, /bin and /sbin links that the others unpack through.
    mkdir -p "$directory/first"
    mv "$directory"/base-files_*.deb "$directory/first/"
    unpack_packages "$directory/first" "$TOOLCHAIN_ROOT"
    unpack_packages "$directory" "$TOOLCHAIN_ROOT"
    rm -rf "$directory"
    # What the packages' own scripts would have done.
    ln -sf gawk "$TOOLCHAIN_ROOT/usr/bin/awk"
    mkdir -p "$TOOLCHAIN_ROOT"/{dev,proc,tmp}
    write_stamp toolchain-7.3 "$(toolchain_key)"
}
