#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ublkd add --copy: a way that does not exist, or that driver or target lack, is one clear error; auto
# takes one that they have and says why.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

# Of a device that auto chose for: chosen MODE REASON TARGET...
chosen() {
    local mode=$1 reason=$2 dev
    shift 2
    dev=$(add_dev "$@")
    run_expect 0 ublkd show "$dev" --json
    jq -e --arg mode "$mode" --arg reason "$reason" \
        '.copy.mode == $mode and (.copy.reason | test($reason))' <<<"$OUT" >/dev/null ||
        fail "$*: not $mode because of $reason: $(jq .copy <<<"$OUT")"
    del_dev "$dev"
}

image=$(make_image disk 8M)
expect_error 1 "auto, driver, user, zero" add null --copy fast
if has_feature USER_COPY; then
    dev=$(add_dev null --copy user)
    del_dev "$dev"
else
    expect_error 6 "lacks USER_COPY" add null --copy user
fi
chosen driver "in its own memory" ram size=8M
if has_feature AUTO_BUF_REG; then
    expect_error 1 "in its own memory" add ram size=8M --copy zero
    chosen zero "driver and target" loop file="$image"
else
    expect_error 6 "lacks SUPPORT_ZERO_COPY" add loop file="$image" --copy zero
    chosen driver "lacks SUPPORT_ZERO_COPY" loop file="$image"
fi
