#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Without permission: status 3 and one line that says what to do; no verb works half.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

image=$(make_image disk 1M)
# The state directory exists, as after any use.
dev=$(add_dev null)
chmod 755 "$UBLK_TEST_DIR"
chmod 666 "$image"
cp "$(command -v ublkd)" /usr/local/bin/ublkd-as-nobody
on_exit rm -f /usr/local/bin/ublkd-as-nobody

nobody() {
    setpriv --reuid nobody --regid nogroup --clear-groups /usr/local/bin/ublkd-as-nobody "$@"
}
ublkd() {
    nobody "$@"
}
for words in "add null" "add loop file=$image" "del 0" "del --all" "list" "show 0" "features"; do
    # shellcheck disable=SC2086 # words
    expect_error 3 . $words
done
unset -f ublkd
[ -b "$dev" ] || fail "$dev was deleted"

# As root, a file that must not be written.
chattr +i "$image"
on_exit chattr -i "$image"
expect_error 3 read-only add loop file="$image"
del_dev "$dev"
