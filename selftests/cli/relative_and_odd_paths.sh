#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files are found by relative names, by names with blanks, quotes, newlines and bytes that are no
# text; an error about them is still one line, and --json still a document.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

cd "$UBLK_TEST_DIR"
for name in plain "with blank" $'new\nline' $'quote"\'' $'byte\xff' "=eq=uals" -dash; do
    truncate -s 1M -- "$name"
    dev=$(add_dev loop file="$name")
    ublkd show "$dev" --json | jq -e . >/dev/null || fail "show of '$name' is no JSON"
    del_dev "$dev"
    rm -- "$name"
    expect_error 2 . add loop file="$name"
done
