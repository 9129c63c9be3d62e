# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced first by every script here: where the tree and the cache are, and how to say things.

set -euo pipefail

export LC_ALL=C.UTF-8
# shellcheck disable=SC2034 # used by the scripts that source this file
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=${UBLK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ublk}
PROGRAM=${0##*/}

say() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
}

die() {
    say "$@"
    exit 1
}

# Runs a command with its output in a log file; shows the end of the log only if it fails.
logged() {
    local log=$1 status=0
    shift
    mkdir -p "${log%/*}"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then
        tail -n 30 "$log" >&2
        say "failed with status $status: $* (whole log: $log)"
    fi
    return "$status"
}

# A cache entry is valid when its stamp holds the key it was made with, so a changed recipe
# makes it again.
stamp_matches() {
    local name=$1 key=$2
    [ -f "$CACHE/stamps/$name" ] && [ "$(cat "$CACHE/stamps/$name")" = "$key" ]
}

write_stamp() {
    local name=$1 key=$2
    mkdir -p "$CACHE/stamps"
    printf '%s\n' "$key" >"$CACHE/stamps/$name"
}

key_of() {
    sha256sum "$@" | sha256sum | cut -c1-16
}
