# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The stock Debian kernels the tests boot: found by name (the newest wins), unpacked into the
# cache, never installed.

# shellcheck disable=SC2034 # the callers'
KERNELS=(6.1 6.12 7.3)
# shellcheck source=scripts/lib/debug-kernels.sh disable=SC2153 # ROOT is the callers', too
source "$ROOT/scripts/lib/debug-kernels.sh"

# Modules that must be loaded before the root file system is there.
BOOT_MODULES=(virtio_pci virtio_console virtio_blk 9p 9pnet_virtio overlay ext4)

kernel_dir() {
    printf '%s/kernels/%s\n' "$CACHE" "$1"
}

# What `uname -r` says in a kernel that is in the cache.
kernel_release() {
    cat "$(kernel_dir "$1")/release" 2>/dev/null
}

apt_root_of_kernel() {
    case $1 in
    7.*) echo trixie ;;
    *) echo bookworm ;;
    esac
}

release_pattern() {
    case $1 in
    6.1) echo '6\.1\.0-[0-9]+-amd64' ;;
    6.12) echo '6\.12\.[0-9]+\+deb12-amd64' ;;
    7.3) echo '7\.3\.[0-9]+\+deb13-amd64' ;;
    *) die "unknown kernel $1 (known: ${KERNELS[*]})" ;;
    esac
}

# The release whose headers are installed: a module is built against it, so it is the one to boot.
headers_release() {
    local pattern
    pattern=$(release_pattern "$1")
    # shellcheck disable=SC2012 # names of Debian packages
    ls /usr/src 2>/dev/null | sed -n 's/^linux-headers-//p' | grep -Ex "$pattern" |
        sort -V | tail -n 1
}

kernel_ready() {
    local kernel=$1 wanted
    stamp_matches "kernel-$kernel" "$(kernel_key)" || return 1
    wanted=$(headers_release "$kernel" || true)
    [ -z "$wanted" ] || [ "$wanted" = "$(kernel_release "$kernel")" ]
}

# May it be booted? An older one than the newest may.
kernel_is_cached() {
    if is_debug_kernel "$1"; then
        stamp_matches "kernel-$1" "$(debug_kernel_key "$1")"
    else
        stamp_matches "kernel-$1" "$(kernel_key)"
    fi
}

# How to get a kernel that is not in the cache.
recipe_of_kernel() {
    case $1 in
    *-debug) echo "scripts/build-debug-kernel ${1%-*}" ;;
    *-kcsan) echo "scripts/build-debug-kernel --kcsan ${1%-*}" ;;
    *) echo "scripts/setup vm" ;;
    esac
}

# What the module is built of, below a tree: driver_sources DIRECTORY
driver_sources() {
    (cd "$1" && find kernel uapi -type f \
        \( -name '*.[ch]' -o -name '*.mk' -o -name Kbuild -o -name Makefile \) \
        ! -name '*.mod.c' ! -path kernel/compat/config.h)
}

# What the module is built against: the newest installed headers of a kernel series, as the
# toolchain sees them, or the tree that a debug kernel was built in.
headers_of() {
    local kernel=$1
    if is_debug_kernel "$kernel"; then
        ! kernel_is_cached "$kernel" || debug_kernel_build "$kernel"
        return
    fi
    in_toolchain "$kernel" find /usr/src -maxdepth 1 -name "linux-headers-$kernel.*-amd64" |
        grep -Ev -- '-(rt|cloud)-amd64$' | sort -V | tail -n 1
}

# 7.3's headers need a newer compiler and C library than Debian 12 has.
in_toolchain() {
    local kernel=$1
    shift
    case $kernel in
    7.3) "$ROOT/scripts/lib/toolchain-7.3" "$@" ;;
    *) "$@" ;;
    esac
}

# How to get what modules for it are built with.
recipe_of_headers() {
    if is_debug_kernel "$1"; then recipe_of_kernel "$1"; else echo scripts/setup; fi
}

expect_known_kernel() {
    [[ " ${KERNELS[*]} ${DEBUG_KERNELS[*]} " == *" $1 "* ]] ||
        die "unknown kernel $1 (known: ${KERNELS[*]} ${DEBUG_KERNELS[*]})"
}

# Raise the number when fetch_kernel() makes something else than before.
kernel_key() {
    printf 'recipe 2: %s\n' "${BOOT_MODULES[*]}"
}

newest_release() {
    local kernel=$1 pattern
    pattern=$(release_pattern "$kernel")
    newest_package "$(apt_root_of_kernel "$kernel")" "linux-image-$pattern" |
        sed 's/^linux-image-//'
}

fetch_kernel() {
    local kernel=$1 root release dir packages
    root=$(apt_root_of_kernel "$kernel")
    dir=$(kernel_dir "$kernel")
    apt_root_update "$root"
    release=$(headers_release "$kernel" || true)
    if [ -z "$release" ] || ! apt_in "$root" apt-cache show "linux-image-$release" >/dev/null 2>&1; then
        release=$(newest_release "$kernel")
    fi
    [ -n "$release" ] || die "no kernel $kernel in the package lists of $root"
    case $kernel in
    7.*) packages=("linux-base-$release" "linux-binary-$release"
            "linux-modules-$release") ;;
    *) packages=("linux-image-$release") ;;
    esac
    say "fetching kernel $release"
    rm -rf "$dir" "$CACHE/fetch/kernel"
    fetch_packages "$root" "$CACHE/fetch/kernel" "${packages[@]}"
    unpack_packages "$CACHE/fetch/kernel" "$dir"
    rm -rf "$CACHE/fetch/kernel"
    # Debian 13 packages carry usr/lib; one layout for all kernels is simpler for the callers.
    [ -d "$dir/lib" ] || ln -s usr/lib "$dir/lib"
    depmod -b "$dir" "$release"
    printf '%s\n' "$release" >"$dir/release"
    make_boot_modules "$kernel"
    make_plain_image "$kernel"
    write_stamp "kernel-$kernel" "$(kernel_key)"
}

# Copies the modules of the initramfs, in load order, uncompressed: busybox cannot unpack them.
make_boot_modules() {
    local dir release module file number=100
    dir=$(kernel_dir "$1")
    release=$(kernel_release "$1")
    mkdir -p "$dir/boot-modules"
    for module in "${BOOT_MODULES[@]}"; do
        modprobe -d "$dir" -S "$release" --show-depends "$module" | awk '$1 == "insmod" {print $2}'
    done | awk '!seen[$0]++' | while read -r file; do
        number=$((number + 1))
        case $file in
        *.xz) xz -dc "$file" ;;
        *.zst) zstd -dcq "$file" ;;
        *) cat "$file" ;;
        esac >"$dir/boot-modules/$number-$(basename "$file" | sed 's/\.ko.*//').ko"
    done
}

# Unpacks the kernel on the host: booting the plain ELF file saves the guest three seconds of
# emulated decompression. Where the payload lies is in the boot protocol's header.
make_plain_image() {
    local dir release image sectors offset length start
    dir=$(kernel_dir "$1")
    release=$(kernel_release "$1")
    image=$dir/boot/vmlinuz-$release
    [ -f "$image" ] || image=$dir/lib/modules/$release/vmlinuz
    sectors=$(read_number "$image" 0x1f1 1)
    offset=$(read_number "$image" 0x248 4)
    length=$(read_number "$image" 0x24c 4)
    start=$(((sectors + 1) * 512 + offset))
    # The last four bytes are the unpacked size, which is not part of the compressed stream.
    tail -c +$((start + 1)) "$image" | head -c $((length - 4)) >"$dir/payload" || :
    case $(read_number "$dir/payload" 0 2) in
    14333) xz -dc "$dir/payload" >"$dir/vmlinux" ;;
    46376) zstd -dcq <"$dir/payload" >"$dir/vmlinux" ;;
    *) die "kernel $release is compressed in an unknown way" ;;
    esac
    rm "$dir/payload"
}

# An unsigned little-endian number in a file: read_number FILE OFFSET BYTES
read_number() {
    od -A n -t "u$3" -j "$(($2))" -N "$3" "$1" | tr -d ' '
}
