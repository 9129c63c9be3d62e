# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The few files we use out of the kernel's source: checkpatch, the kselftest harness and the newest
# ublk header, all from Debian packages and none of them vendored.

# Laid out as in the kernel's tree, because checkpatch looks for its word lists beside itself.
SOURCE_FILES=(scripts/checkpatch.pl scripts/spelling.txt scripts/const_structs.checkpatch
    tools/testing/selftests/kselftest.h tools/testing/selftests/kselftest_harness.h)

sources_key() {
    printf 'recipe 1: %s\n' "${SOURCE_FILES[*]}"
}

sources_ready() {
    stamp_matches sources "$(sources_key)"
}

fetch_sources() {
    local directory=$CACHE/fetch/sources file archive
    apt_root_update bookworm
    apt_root_update trixie
    say "fetching checkpatch and the kselftest harness from the kernel's source"
    rm -rf "$CACHE/src" "$CACHE/uapi-7.3" "$directory"
    fetch_packages bookworm "$directory" linux-source-6.1
    mkdir -p "$CACHE/src" "$directory/unpacked"
    dpkg-deb --fsys-tarfile "$directory"/linux-source-6.1_*.deb |
        tar -x -C "$directory/unpacked" --wildcards './usr/src/linux-source-6.1.tar.xz'
    archive=$directory/unpacked/usr/src/linux-source-6.1.tar.xz
    tar -x -f "$archive" -C "$CACHE/src" --strip-components=1 \
        "${SOURCE_FILES[@]/#/linux-source-6.1/}"
    for file in "${SOURCE_FILES[@]}"; do
        [ -s "$CACHE/src/$file" ] || die "$file is not in the kernel's source package"
    done
    rm -rf "$directory"
    fetch_packages trixie "$directory" "$(newest_uapi_package)"
    mkdir -p "$CACHE/uapi-7.3"
    dpkg-deb --fsys-tarfile "$directory"/linux-libc-dev_*.deb |
        tar -x -C "$CACHE/uapi-7.3" --strip-components=3 ./usr/include/linux/ublk_cmd.h
    rm -rf "$directory"
    write_stamp sources "$(sources_key)"
}

# The newest version of the package of kernel headers for programs.
newest_uapi_package() {
    local version
    version=$(apt_in trixie apt-cache madison linux-libc-dev | awk '{ print $3 }' |
        grep '^7\.3\.' | sort -V | tail -n 1)
    [ -n "$version" ] || die "no linux-libc-dev 7.3 in the package lists of trixie"
    printf 'linux-libc-dev=%s\n' "$version"
}
