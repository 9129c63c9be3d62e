# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Upstream's own ublk selftests, taken out of Debian's kernel source and built into the cache: the
# test server needs a newer liburing and newer kernel headers than the machine has, and two tests
# a newer bpftrace. From the same source come the files that our driver as a patch changes.

UPSTREAM_ROOT=$CACHE/upstream
UPSTREAM_TESTS=$UPSTREAM_ROOT/ublk
# Those files of the kernel's tree that our driver as a patch touches.
UPSTREAM_TREE=$UPSTREAM_ROOT/tree
UPSTREAM_TREE_FILES=(MAINTAINERS drivers/block/Kconfig drivers/block/Makefile
    drivers/block/ublk_drv.c include/uapi/linux/ublk_cmd.h)

# Raise the number when fetch_upstream() makes something else than before.
upstream_key() {
    echo 'recipe 2'
}

upstream_ready() {
    stamp_matches upstream "$(upstream_key)"
}

fetch_upstream() {
    local fetched=$CACHE/fetch/upstream
    apt_root_update trixie
    say "fetching upstream's ublk selftests"
    rm -rf "$UPSTREAM_ROOT" "$fetched"
    mkdir -p "$UPSTREAM_ROOT"
    fetch_upstream_tests "$fetched/source"
    fetch_packages trixie "$fetched/libraries" liburing-dev "$(newest_uapi_package)"
    unpack_packages "$fetched/libraries" "$UPSTREAM_ROOT/libraries"
    mend_upstream_server
    build_upstream_programs
    fetch_closure trixie "$fetched/bpftrace" bpftrace
    unpack_packages "$fetched/bpftrace" "$UPSTREAM_ROOT/bpftrace"
    write_bpftrace_command
    rm -rf "$fetched"
    write_stamp upstream "$(upstream_key)"
}

fetch_upstream_tests() {
    local directory=$1
    fetch_packages trixie "$directory" linux-source-7.3
    dpkg-deb --fsys-tarfile "$directory"/linux-source-7.3_*.deb |
        tar -x -C "$directory" --wildcards './usr/src/linux-source-7.3.tar.xz'
    tar -x -f "$directory/usr/src/linux-source-7.3.tar.xz" -C "$UPSTREAM_ROOT" \
        --strip-components=4 linux-source-7.3/tools/testing/selftests/ublk
    [ -s "$UPSTREAM_TESTS/test_common.sh" ] ||
        die "upstream's ublk selftests are not in the kernel's source package"
    mkdir -p "$UPSTREAM_TREE"
    tar -x -f "$directory/usr/src/linux-source-7.3.tar.xz" -C "$UPSTREAM_TREE" \
        --strip-components=1 "${UPSTREAM_TREE_FILES[@]/#/linux-source-7.3/}"
}

# The server of fault_inject gives io_uring the address of a local variable that is gone when it is
# read, so how long it delays is up to the compiler.
mend_upstream_server() {
    local from='struct __kernel_timespec ts = {'
    local to='static __thread struct __kernel_timespec ts; ts = (struct __kernel_timespec) {'
    grep -qF "$from" "$UPSTREAM_TESTS/fault_inject.c" || die "fault_inject.c is not as it was"
    sed -i "s/$from/$to/" "$UPSTREAM_TESTS/fault_inject.c"
}

# Static, so that the new library need not be where the tests run.
build_upstream_programs() {
    local include=$UPSTREAM_ROOT/libraries/usr/include
    local lib=$UPSTREAM_ROOT/libraries/usr/lib/x86_64-linux-gnu
    local flags=(-O3 -pthread -D_GNU_SOURCE -isystem "$include" -isystem "$include/x86_64-linux-gnu")
    local source sources=()
    for source in "$UPSTREAM_TESTS"/*.c; do
        [ "${source##*/}" = metadata_size.c ] || sources+=("$source")
    done
    logged "$CACHE/logs/kublk.log" gcc "${flags[@]}" -o "$UPSTREAM_TESTS/kublk" "${sources[@]}" \
        "$lib/liburing.a" -lm
    logged "$CACHE/logs/metadata_size.log" gcc "${flags[@]}" -o "$UPSTREAM_TESTS/metadata_size" \
        "$UPSTREAM_TESTS/metadata_size.c"
}

# It runs under its own loader and C library, as the unpacked QEMU does.
write_bpftrace_command() {
    local root=$UPSTREAM_ROOT/bpftrace
    mkdir -p "$UPSTREAM_ROOT/bin"
    cat >"$UPSTREAM_ROOT/bin/bpftrace" <<COMMAND
#!/bin/sh
exec $root/usr/lib64/ld-linux-x86-64.so.2 --library-path $root/usr/lib/x86_64-linux-gnu \\
    $root/usr/bin/bpftrace "\$@"
COMMAND
    chmod 755 "$UPSTREAM_ROOT/bin/bpftrace"
}

# The names of the tests, as generic_02.
upstream_test_names() {
    local path name
    for path in "$UPSTREAM_TESTS"/test_*.sh; do
        name=${path##*/test_}
        [ "$name" = common.sh ] || printf '%s\n' "${name%.sh}"
    done
}
