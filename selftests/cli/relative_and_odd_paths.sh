#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files are found by relative names, by names with blanks, quotes, newlines and bytes that are no
# text; an error about them is still one line, and --json still a document. A next server finds them, too,
# and what JSON says of them can be undone.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

require_feature QUIESCE

# \xHH is a byte; any other backslash is itself.
bytes_of() {
    perl -e '$_ = $ARGV[0]; s/\\x([0-9a-f]{2})/chr hex $1/ge; print' -- "$1"
}

cd "$UBLK_TEST_DIR"
for name in plain "with blank" $'new\nline' $'quote"\'' $'byte\xff' $'cut\xc3' '\xff' "=eq=uals" -dash \
    $'\xe4\xf6'; do
    truncate -s 1M -- "$name"
    dev=$(add_dev loop file="$name" --recovery queue)
    run_expect 0 ublkd show "$dev" --json
    shown=$(jq -e -r .options.file <<<"$OUT") || fail "show of '$name' is no JSON"
    [ "$(bytes_of "$shown")" = "$PWD/$name" ] || fail "show of '$name' says '$shown'"
    run_expect 0 ublkd list --json
    run_expect 0 ublkd quiesce "$dev"
    run_expect 0 ublkd recover "$dev"
    dd if="$dev" of=/dev/null bs=64k count=1 iflag=direct status=none || fail "'$name' is not served"
    del_dev "$dev"
    rm -- "$name"
    expect_error 2 . add loop file="$name"
done
