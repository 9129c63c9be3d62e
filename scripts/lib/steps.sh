# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Shows work to a person: one line per step with how long it took.

headline() {
    printf '\n%s\n' "$*"
}

milliseconds() {
    echo "$((${EPOCHREALTIME/[.,]/} / 1000))"
}

# Runs a command and tells how long it took: step WHAT COMMAND...
# What the command prints to descriptor 3 is added to the line.
step() {
    local what=$1 start status note
    shift
    printf '  %-58s' "$what"
    start=$(milliseconds)
    # Not with ||: that would make the command go on after errors.
    set +e
    note=$(
        set -e
        "$@" 3>&1 1>&2
    )
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        printf ' FAILED (status %s)\n' "$status"
        exit 1
    fi
    TOOK=$(($(milliseconds) - start))
    printf '%4d.%d s%s\n' $((TOOK / 1000)) $((TOOK % 1000 / 100)) "${note:+   $note}"
}
