# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Vocabulary of the tests of ublkd's command line. Sourced after lib.sh and io.sh.

# A command must fail with a status and one line on standard error that says what to do, print nothing
# else, and change nothing: expect_error STATUS PATTERN VERB [ARGUMENT]... The (extended) pattern is
# looked for in that line.
expect_error() {
    local status=$1 pattern=$2 before
    shift 2
    before=$(what_is_there)
    run_expect "$status" ublkd "$@"
    echo "# $status: $ERR"
    [ -z "$OUT" ] || fail "ublkd $*: output in spite of the error: $OUT"
    [[ $ERR != *$'\n'* ]] || fail "ublkd $*: not one line: $ERR"
    [[ $ERR == "ublkd: "* ]] || fail "ublkd $*: it does not say who speaks: $ERR"
    [[ $ERR =~ $pattern ]] || fail "ublkd $*: no '$pattern' in: $ERR"
    # What to do stands in parentheses.
    [[ $ERR =~ \(.{8,}\)$ ]] || fail "ublkd $*: it does not say what to do: $ERR"
    expect_json_error "$status" "$@"
    wait_until 10 unchanged_since "$before" ||
        fail "ublkd $*: left behind: $(diff <(echo "$before") <(what_is_there))"
}

unchanged_since() {
    [ "$(what_is_there)" = "$1" ]
}

# The same with --json: the error is a document on standard output, with the same status.
expect_json_error() {
    local status=$1
    shift
    run_expect "$status" ublkd "$@" --json
    jq -e --argjson status "$status" '.schema == 1 and .error.code == $status
        and (.error.errno | type) == "number" and (.error.message | length) > 0
        and (.error.hint | length) > 0' <<<"$OUT" >/dev/null ||
        fail "ublkd $* --json: stdout: $OUT stderr: $ERR"
    [ -z "$ERR" ] || fail "ublkd $* --json: also on standard error: $ERR"
}
