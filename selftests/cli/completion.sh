#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A tab in bash offers verbs, options, targets, keys, values and files, and says nothing when there is
# nothing; zsh and fish can read their scripts, where they are installed, and fish offers the same.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

ublkd completion bash >"$UBLK_TEST_DIR/ublkd.bash"
touch "$UBLK_TEST_DIR/image one" "$UBLK_TEST_DIR/image-two"

# What bash offers at the end of a line: in_bash LINE
in_bash() {
    bash --norc --noprofile -c '
        set -u
        source "$1"
        compopt() { echo "compopt $*" >&3; }
        COMP_LINE=$2 COMP_POINT=${#2} COMPREPLY=()
        $(complete -p ublkd | sed "s/.*-F \([^ ]*\).*/\1/") ublkd || :
        printf "%s\n" "${COMPREPLY[@]}"' bash "$UBLK_TEST_DIR/ublkd.bash" "$1" 3>"$UBLK_TEST_DIR/options"
}
bash_offers() {
    local line=$1 found
    shift
    found=$(in_bash "$line" | sort)
    [ "$found" = "$(printf '%s\n' "$@" | sort)" ] || fail "bash, '$line': $found"
}

bash_offers 'ublkd reco' recover
bash_offers 'ublkd add l' loop
bash_offers 'ublkd add loop --rec' --recovery
bash_offers 'ublkd add loop --recovery ' off queue reissue fail
# Behind the '=' only, which is where bash takes words apart.
bash_offers 'ublkd add loop direct=' yes no
bash_offers 'ublkd add loop fi' file=
grep -q 'compopt -o nospace' "$UBLK_TEST_DIR/options" || fail "a space follows file="
bash_offers "ublkd add loop file=$UBLK_TEST_DIR/im" "$UBLK_TEST_DIR/image one" "$UBLK_TEST_DIR/image-two"
grep -q 'compopt -o filenames' "$UBLK_TEST_DIR/options" || fail "blanks in names are not escaped"
bash_offers "ublkd add loop --shmem $UBLK_TEST_DIR/image-" "$UBLK_TEST_DIR/image-two"
bash_offers 'ublkd add loop file=/var/x\ y dir' direct=
bash_offers 'ublkd frob ' ''
[ "$(in_bash 'ublkd ' | wc -l)" -ge 13 ] || fail "bash, verbs: $(in_bash 'ublkd ')"

if command -v zsh >/dev/null; then
    ublkd completion zsh >"$UBLK_TEST_DIR/_ublkd"
    zsh -f -n "$UBLK_TEST_DIR/_ublkd" || fail "zsh does not take its script"
    # compadd and the like work at a tab only, so others stand in for them.
    found=$(zsh -f -c '
        compdef() { : }
        compadd() { print -r -- "${@[-1]}" }
        compset() { print -r -- "compset $*" }
        _files() { print -r -- files }
        _call_program() { shift; eval "$*" }
        source "$1"
        words=("${@:2}"); CURRENT=$#words
        _ublkd' zsh "$UBLK_TEST_DIR/_ublkd" ublkd add loop '')
    grep -qx 'file=' <<<"$found" || fail "zsh, keys: $found"
    found=$(zsh -f -c '
        compdef() { : }
        compset() { print -r -- "compset $*" }
        _files() { print -r -- files }
        _call_program() { shift; eval "$*" }
        source "$1"
        words=("${@:2}"); CURRENT=$#words
        _ublkd' zsh "$UBLK_TEST_DIR/_ublkd" ublkd add loop 'file=/v')
    [ "$found" = $'compset -P file=\nfiles' ] || fail "zsh, files: $found"
fi
if command -v fish >/dev/null; then
    export HOME=$UBLK_TEST_DIR
    ublkd completion fish >"$UBLK_TEST_DIR/ublkd.fish"
    in_fish() {
        fish --no-config -c 'source $argv[1]; complete --do-complete $argv[2]' \
            "$UBLK_TEST_DIR/ublkd.fish" "$1" | cut -f 1
    }
    [ "$(in_fish 'ublkd reco')" = recover ] || fail "fish, verbs: $(in_fish 'ublkd reco')"
    found=$(in_fish "ublkd add loop file=$UBLK_TEST_DIR/image-")
    [ "$found" = "file=$UBLK_TEST_DIR/image-two" ] || fail "fish, files: $found"
fi
expect_error 1 "shells: bash, zsh, fish" completion csh
expect_error 1 "words behind bash" completion bash add
