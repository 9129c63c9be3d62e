# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The kernels that look for bugs while the tests run: small ones, built from Debian's kernel sources
# with the settings in scripts/lib/debug-kernel/ and kept in the cache beside the stock kernels.

# shellcheck disable=SC2034 # the callers'
DEBUG_KERNELS=(6.1-debug 7.3-debug 6.1-kcsan 7.3-kcsan)

DEBUG_SETTINGS=$ROOT/scripts/lib/debug-kernel

is_debug_kernel() {
    [[ " ${DEBUG_KERNELS[*]} " == *" $1 "* ]]
}

# The stock kernel that a kernel is a variant of; itself if it is one.
base_kernel() {
    printf '%s\n' "${1%%-*}"
}

# Where modules for it are built.
debug_kernel_build() {
    printf '%s/debug/%s\n' "$CACHE" "$1"
}

debug_kernel_source() {
    printf '%s/debug/linux-source-%s\n' "$CACHE" "$(base_kernel "$1")"
}

# How many times as long as on a stock kernel a test may take.
time_factor() {
    if is_debug_kernel "$1"; then echo 5; else echo 1; fi
}

# Megabytes that a guest has. What shadows memory takes a sixth of it.
guest_memory() {
    if is_debug_kernel "$1"; then echo 3072; else echo 2048; fi
}

# What a kernel is booted with besides what all are and what the caller appends:
# kernel_parameters_of KERNEL APPENDED
# Races are found all over a kernel, and most of them are not ours: they must not end the guest. The
# sheaves of new kernels, in which each CPU keeps free objects, still point to those that were taken
# from them, and kmemleak takes that for a reference. Caches that are checked have none.
kernel_parameters_of() {
    case $1 in
    *-debug) printf 'page_poison=1 ' ;;
    *-kcsan) printf 'page_poison=1 panic_on_warn=0 ' ;;
    esac
    case $1/$2 in
    7.3-debug/*kmemleak=off*) ;;
    7.3-debug/*) printf 'slab_debug=F ' ;;
    esac
}

# The settings of a debug kernel, those of allnoconfig aside.
debug_kernel_settings() {
    local file
    for file in machine checks "$(base_kernel "$1")" "${1#*-}"; do
        grep -E '^(# )?CONFIG_' "$DEBUG_SETTINGS/$file.config"
    done
}

# Raise the number when build_debug_kernel() makes something else than before. The version of the
# sources is not in here, because only those who build can know the newest.
debug_kernel_key() {
    printf 'recipe 3: %s\n' "$(debug_kernel_settings "$1" | sha256sum | cut -c1-16)"
}

# Is the kernel in the cache, made of the sources that apt would take today?
debug_kernel_ready() {
    stamp_matches "kernel-$1" "$(debug_kernel_key "$1")" &&
        [ "$(cat "$(kernel_dir "$1")/source-version")" = "$(newest_source_version "$1")" ]
}

newest_source_version() {
    local kernel
    kernel=$(base_kernel "$1")
    apt_in "$(apt_root_of_kernel "$kernel")" apt-cache madison "linux-source-$kernel" |
        awk '{ print $3 }' | sort -V | tail -n 1
}

# Kernels of one series share the sources, so it is done by one at a time.
fetch_kernel_source() {
    local kernel=$1 version source package directory
    source=$(debug_kernel_source "$kernel")
    version=$(newest_source_version "$kernel")
    package=linux-source-$(base_kernel "$kernel")
    ! stamp_matches "$package" "$version" || return 0
    say "fetching $package $version"
    directory=$CACHE/fetch/$package
    rm -rf "$source" "$directory"
    fetch_packages "$(apt_root_of_kernel "$kernel")" "$directory" "$package=$version"
    mkdir -p "$source"
    dpkg-deb --fsys-tarfile "$directory/$package"_*.deb |
        tar -x -O --wildcards "./usr/src/$package.tar.xz" |
        tar -x -J -C "$source" --strip-components=1
    rm -rf "$directory"
    write_stamp "$package" "$version"
}

# Everything that is asked for must be there: Kconfig drops what depends on something that is not,
# and says nothing.
configure_debug_kernel() {
    local kernel=$1 build line missing=
    build=$(debug_kernel_build "$kernel")
    debug_kernel_settings "$kernel" >"$build/settings"
    make -s -C "$(debug_kernel_source "$kernel")" O="$build" \
        KCONFIG_ALLCONFIG="$build/settings" allnoconfig
    while read -r line; do
        case $line in
        '# '*) ! grep -q "^$(cut -d ' ' -f 2 <<<"$line")=" "$build/.config" || missing+=" ${line#\# }" ;;
        *) grep -qxF "$line" "$build/.config" || missing+=" $line" ;;
        esac
    done <"$build/settings"
    [ -z "$missing" ] || die "kernel $kernel cannot be configured with:$missing"
}

# Lays it out as the stock kernels are, but that nothing is a module that must be loaded first.
install_debug_kernel() {
    local kernel=$1 build dir
    build=$(debug_kernel_build "$kernel")
    dir=$(kernel_dir "$kernel")
    rm -rf "$dir"
    mkdir -p "$dir/boot-modules"
    make -s -C "$build" INSTALL_MOD_PATH="$dir" modules_install
    # QEMU enters a vmlinux in C code that is instrumented and runs before it may be; a bzImage it
    # boots as a machine does.
    cp "$build/arch/x86/boot/bzImage" "$dir/vmlinux"
    make -s -C "$build" kernelrelease >"$dir/release"
    # Where a kernel has no BTF, bpftrace takes types from its sources; 7.3 makes no such link itself.
    ln -sfn "$(debug_kernel_source "$kernel")" "$dir/lib/modules/$(<"$dir/release")/source"
    cat "$CACHE/stamps/linux-source-$(base_kernel "$kernel")" >"$dir/source-version"
}

build_debug_kernel() {
    local kernel=$1 build start=$SECONDS
    build=$(debug_kernel_build "$kernel")
    mkdir -p "$build"
    configure_debug_kernel "$kernel"
    say "building kernel $kernel"
    rm -f "$CACHE/stamps/kernel-$kernel"
    logged "$CACHE/logs/build-$kernel.log" make -s -C "$build" -j "$(nproc)" bzImage modules
    install_debug_kernel "$kernel"
    write_stamp "kernel-$kernel" "$(debug_kernel_key "$kernel")"
    say "built kernel $kernel in $((SECONDS - start)) s"
}
