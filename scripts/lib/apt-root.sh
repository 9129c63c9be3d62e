# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Private apt roots: they fetch and unpack Debian packages of any suite without touching the
# machine's own sources, lists or dpkg status. The mirror is the one the machine uses already.

# The mirror that serves a suite on this machine, as apt knows it.
mirror_of() {
    local codename=$1 uri
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        "Codename: $codename" | head -n 1)
    [ -n "$uri" ] || return 1
    printf '%s\n' "$uri"
}

# Without downloaded lists apt does not know code names yet.
need_machine_lists() {
    mirror_of bookworm >/dev/null || machine_apt_update
    mirror_of bookworm >/dev/null ||
        die "apt knows no mirror of Debian bookworm: add one to its sources"
}

machine_apt_update() {
    logged "$CACHE/logs/apt-update.log" as_root apt-get -q update
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "must be root (or have sudo) to run: $*"
    fi
}

sources_of() {
    local root=$1 main security
    main=$(mirror_of bookworm)
    case $root in
    bookworm)
        security=$(mirror_of bookworm-security) ||
            die "apt knows no mirror of bookworm-security: add one to its sources"
        printf 'deb [signed-by=%s] %s %s main\n' "$KEYRING" "$main" bookworm \
            "$KEYRING" "$security" bookworm-security
        ;;
    trixie)
        printf 'deb [signed-by=%s] %s %s main\n' "$KEYRING" "$main" trixie \
            "$KEYRING" "$main" trixie-backports
        ;;
    esac
}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Prepares the root of a suite. The machine's apt.conf.d stays in force: proxies live there.
apt_root_create() {
    local root=$1 dir=$CACHE/apt/$1
    need_machine_lists
    mkdir -p "$dir/lists/partial" "$dir/archives/partial"
    [ -e "$dir/status" ] || : >"$dir/status"
    cat >"$dir/apt.conf" <<CONF
Dir::State "$dir";
Dir::State::Lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir";
Dir::Cache::archives "$dir/archives";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Preferences "-";
Dir::Etc::PreferencesParts "-";
APT::Sandbox::User "root";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Install-Recommends "false";
Acquire::Languages "none";
Debug::NoLocking "true";
CONF
    sources_of "$root" >"$dir/sources.list"
}

# Runs an apt program inside a root: apt_in ROOT PROGRAM [ARGUMENT...]
apt_in() {
    local root=$1
    shift
    APT_CONFIG=$CACHE/apt/$root/apt.conf DEBIAN_FRONTEND=noninteractive "$@"
}

# Brings the lists of a root up to date; once a run is enough.
apt_root_update() {
    local root=$1
    [ -z "${APT_ROOT_FRESH[$root]:-}" ] || return 0
    apt_root_create "$root"
    say "reading the package lists of $root"
    logged "$CACHE/logs/apt-$root.log" apt_in "$root" apt-get -q update
    APT_ROOT_FRESH[$root]=yes
}
declare -A APT_ROOT_FRESH=()

# Downloads single packages into DIR: fetch_packages ROOT DIR PACKAGE...
fetch_packages() {
    local root=$1 dir=$2
    shift 2
    mkdir -p "$dir"
    (cd "$dir" && logged "$CACHE/logs/fetch-$root.log" apt_in "$root" apt-get -q download "$@")
}

# Downloads packages with all they depend on: fetch_closure ROOT DIR PACKAGE...
fetch_closure() {
    local root=$1 dir=$2
    shift 2
    mkdir -p "$dir/partial"
    logged "$CACHE/logs/fetch-$root.log" apt_in "$root" apt-get -q -y --download-only \
        -o "Dir::Cache::archives=$dir" install "$@"
}

# Unpacks every package in DIR into TARGET, without its documentation.
unpack_packages() {
    local dir=$1 target=$2 package
    mkdir -p "$target"
    for package in "$dir"/*.deb; do
        dpkg-deb --fsys-tarfile "$package" |
            tar -x -C "$target" --keep-directory-symlink --exclude='./usr/share/doc/*' \
                --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*'
    done
}

# The newest package whose name matches a pattern (an extended regular expression).
newest_package() {
    local root=$1 pattern=$2
    apt_in "$root" apt-cache pkgnames | grep -Ex "$pattern" | sort -V | tail -n 1
}
