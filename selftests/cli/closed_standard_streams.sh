#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whoever calls ublkd may have closed any standard streams: what it says is never written to the files
# that got their numbers, least of all to the disk's, and a server has all three.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
require_feature QUIESCE

# Becomes a command, with streams closed, those of a sum of 1, 2 and 4: becomes SUM COMMAND...
becomes() {
    trap - ERR EXIT
    if (($1 & 1)); then exec <&-; fi
    if (($1 & 2)); then exec >&-; fi
    if (($1 & 4)); then exec 2>&-; fi
    shift
    exec "$@"
}

# The same as a part of the test: with_closed SUM COMMAND...
with_closed() {
    (becomes "$@")
}

expect_untouched() {
    cmp "$image" "$UBLK_TEST_DIR/copy" || fail "$closed: '$*' has written to the disk's file"
}

expect_streams_of() {
    local stream
    for stream in 0 1 2; do
        [ -e "/proc/$1/fd/$stream" ] || fail "$closed: the server has no stream $stream"
        [[ $(readlink "/proc/$1/fd/$stream") != "$image" ]] || fail "$closed: stream $stream is the disk's"
    done
}

is_live() {
    [ "$(ublkd show 7 --json | jq -r .state)" = live ]
}

is_live_or_gone() {
    process_is_gone "$1" || { dev_exists /dev/ublkb7 && is_live; }
}

image=$(make_noise disk 1)
cp "$image" "$UBLK_TEST_DIR/copy"
for closed in 0 1 2 3 4 5 6 7; do
    # Its messages are errors: of a number in use, and of an output that nobody hears.
    dev=$(add_dev null --number 7)
    with_closed "$closed" ublkd add loop file="$image" --number 7 --foreground && fail "7 is in use"
    expect_untouched add --foreground
    with_closed "$closed" ublkd add loop file="$image" --number 7 && fail "7 is in use"
    expect_untouched add
    del_dev "$dev"

    # The name is printed while the file is open.
    becomes "$closed" ublkd add loop file="$image" --number 7 --foreground &
    server=$!
    wait_until 20 is_live_or_gone "$server" || fail "$closed: add --foreground neither serves nor ends"
    process_is_gone "$server" || expect_streams_of "$server"
    kill -TERM "$server" 2>/dev/null || ((closed & 2)) || fail "$closed: add --foreground has ended"
    finishes_within 20 "$server" || fail "$closed: SIGTERM does not end it"
    expect_untouched add --foreground
    expect_nothing_left

    if with_closed "$closed" ublkd add loop file="$image" --number 7 --recovery queue; then
        ! ((closed & 2)) || fail "$closed: success, and nobody has heard the name"
    else
        ((closed & 2)) || fail "$closed: add fails"
        dev=$(add_dev loop file="$image" --number 7 --recovery queue)
    fi
    dev=/dev/ublkb7
    expect_streams_of "$(server_pid "$dev")"
    # Those without a result to print succeed whatever is closed.
    for line in "list" "show 7" "resize 7 512K" "recover 7" "add loop" "frob"; do
        # shellcheck disable=SC2086 # words
        with_closed "$closed" ublkd $line || :
        expect_untouched "$line"
    done
    with_closed "$closed" ublkd quiesce 7 || fail "$closed: quiesce"
    with_closed "$closed" ublkd recover 7 || ((closed & 2)) || fail "$closed: recover"
    expect_streams_of "$(server_pid "$dev")"
    is_live || fail "$closed: it is not served"
    with_closed "$closed" ublkd quiesce 7 || fail "$closed: quiesce"
    becomes "$closed" ublkd recover 7 --foreground &
    server=$!
    wait_until 20 is_live || fail "$closed: recover --foreground"
    expect_streams_of "$(server_pid "$dev")"
    with_closed "$closed" ublkd del 7 || fail "$closed: del"
    finishes_within 20 "$server" || fail "$closed: the server stays"
    expect_untouched del
    expect_nothing_left
done
