# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Which tests there are and which of them were asked for. A test's name is SUITE/FILE, or
# SUITE/FILE[MODE] for a script that says in which modes it runs. A mode can be the way that the data
# of ublkd's devices take, or have one: [512+user].

SUITES=(control data paths server_death recovery unprivileged cli resources hostile stress harness)

# What ublkd add --copy knows.
COPY_MODES=' driver user zero shmem '

# Where programs built from C sources lie.
# shellcheck disable=SC2034 # used by execute.sh
PROGRAMS_DIR=${UBLK_TEST_PROGRAMS:-$ROOT/build/selftests}

# Sets COMMENT to the value of a comment line `# KEY: VALUE` among the comments that begin a test's
# source, or to a default: read_comment KEY SOURCE [DEFAULT]
read_comment() {
    local key=$1 line
    COMMENT=${3:-}
    while read -r line; do
        case $line in
        *"# $key: "*)
            COMMENT=${line#*"# $key: "}
            return
            ;;
        '#'* | /* | '*'* | '') ;;
        *) return 0 ;;
        esac
    done <"$2"
}

# A C file is a test if it has a main function; other files of the folder are shared by tests.
is_test_source() {
    case $1 in
    *.sh) [ -f "$1" ] && [ -x "$1" ] ;;
    *.c) [ -f "$1" ] && grep -qE '^TEST_HARNESS_MAIN|^int main\(|^main\(' "$1" ;;
    *) false ;;
    esac
}

# All tests of a suite, one name per mode.
tests_of_suite() {
    local suite=$1 source name mode
    for source in "$SUITES_DIR/$suite"/*.sh "$SUITES_DIR/$suite"/*.c; do
        is_test_source "$source" || continue
        name=$suite/${source##*/}
        name=${name%.c}
        read_comment modes "$source"
        [ -n "$COMMENT" ] || printf '%s\n' "$name"
        for mode in $COMMENT; do
            printf '%s[%s]\n' "$name" "$mode"
        done
    done
}

# Sets SOURCE, TEST_MODE and TEST_COPY for a test's name.
find_source() {
    local mode=
    SOURCE=$SUITES_DIR/${1%%\[*} TEST_MODE=
    [ ! -f "$SOURCE.c" ] || SOURCE=$SOURCE.c
    [[ $1 != *\[*\] ]] || mode=${1##*\[}
    mode=${mode%\]}
    TEST_COPY=$(copy_of_mode "$mode")
    # shellcheck disable=SC2034 # used by execute.sh
    TEST_MODE=${mode%"+$TEST_COPY"}
}

# The part of a mode that is a way of the data; nothing if it has none.
copy_of_mode() {
    [[ $COPY_MODES != *" ${1##*+} "* ]] || echo "${1##*+}"
}

# The test of that name with its data going a given way, unless it has one: in_copy_mode COPY NAME
in_copy_mode() {
    local copy=$1 name=$2 mode=
    [[ $name != *\[*\] ]] || mode=${name##*\[}
    mode=${mode%\]}
    if [ -n "$(copy_of_mode "$mode")" ]; then
        return # it runs in that mode by itself, or is about another one
    fi
    printf '%s[%s]\n' "${name%%\[*}" "${mode:+$mode+}$copy"
}

read_list() {
    sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$1"
}

# Prints the tests that a word on the command line means; fails if there is none.
expand_word() {
    local word=${1%/} suite known name word_of_list
    if [ -f "$SUITES_DIR/$word.list" ]; then
        while read -r word_of_list; do
            expand_word "$word_of_list" || return 1
        done < <(read_list "$SUITES_DIR/$word.list")
        return 0
    fi
    suite=${word%%/*}
    known=$(tests_of_suite "$suite")
    if [ "$suite" = "$word" ] && [ -n "$known" ]; then
        printf '%s\n' "$known"
        return 0
    fi
    for name in "$word" "$word.sh"; do
        printf '%s\n' "$known" | awk -v name="$name" '
            $0 == name || index($0, name "[") == 1 { print; found = 1 }
            END { exit !found }' && return 0
    done
    echo "selftests/run: no such suite or test: $word (see selftests/run --list)" >&2
    return 1
}

# Fills SELECTED. With COPY set, each test that is not about one way of the data runs in that way.
select_tests() {
    local word all name
    local -a words=("$@")
    if [ "${#words[@]}" -eq 0 ]; then
        for word in "${SUITES[@]}"; do
            [ ! -d "$SUITES_DIR/$word" ] || words+=("$word")
        done
    fi
    all=
    for word in "${words[@]}"; do
        all+=$(expand_word "$word")$'\n' || return 1
    done
    # shellcheck disable=SC2034 # the main script's
    mapfile -t SELECTED < <(printf '%s' "$all" | awk '!seen[$0]++' |
        while read -r name; do
            if [ -n "${COPY:-}" ]; then in_copy_mode "$COPY" "$name"; else echo "$name"; fi
        done)
    [ "${#SELECTED[@]}" -gt 0 ] || {
        echo "selftests/run: no tests" >&2
        return 1
    }
}
