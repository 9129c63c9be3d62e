# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The part of the kernel log that belongs to one test: markers are written into the log itself, so
# no clock is needed.

KERNEL_LOG=${UBLK_TEST_KMSG:-/dev/kmsg}

mark_kernel_log() {
    printf 'ublk-test: %s\n' "$1" >>"$KERNEL_LOG"
}

read_kernel_log() {
    if [ "$KERNEL_LOG" = /dev/kmsg ]; then
        dmesg
    else
        cat "$KERNEL_LOG"
    fi
}

# The log since a marker; fails if the marker is not there, for then nothing can be said.
kernel_log_since() {
    read_kernel_log | awk -v marker="ublk-test: $1" '
        index($0, marker) { found = 1 }
        found { print }
        END { exit !found }'
}

# The lines since a marker that tell of a kernel bug; fails as kernel_log_since does. A splat that
# a harness test staged is for the runner inside that test, whose marker comes later.
splats_since() {
    kernel_log_since "$1" | without_staged_splats | { find_splats || :; }
}
