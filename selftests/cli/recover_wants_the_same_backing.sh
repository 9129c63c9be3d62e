#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A name that means another file or disk by now is not served in the old one's place, unless the
# user insists; the device goes on waiting.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"
require_feature QUIESCE

still_quiesced() {
    [ "$(ublkd show "$dev" --json | jq -r .state)" = quiesced ] || fail "it waits no more"
}

image=$(make_image disk 8M)
dev=$(add_dev loop file="$image" --recovery queue)
printf 'the old one' | dd of="$dev" bs=512 conv=sync oflag=direct status=none
run_expect 0 ublkd quiesce "$dev"

# A copy in its place; ext4 gives it the same inode number at once if the old one is deleted.
cp "$image" "$UBLK_TEST_DIR/copy"
mv "$image" "$UBLK_TEST_DIR/kept"
mv "$UBLK_TEST_DIR/copy" "$image"
expect_error 5 "another file.*--other-backing" recover "$dev"
still_quiesced
mv "$UBLK_TEST_DIR/kept" "$image"
run_expect 0 ublkd recover "$dev"
run_expect 0 ublkd quiesce "$dev"
inode=$(stat -c %i "$image")
rm "$image"
truncate -s 8M "$image"
echo "# inode $inode, then $(stat -c %i "$image")"
expect_error 5 "another file" recover "$dev"
still_quiesced

# Who insists gets it, and it is the disk's backing from then on.
run_expect 0 ublkd recover "$dev" --other-backing
cmp <(head -c 1M /dev/zero) <(dd if="$dev" bs=1M count=1 iflag=direct status=none) ||
    fail "not the new file"
run_expect 0 ublkd quiesce "$dev"
run_expect 0 ublkd recover "$dev"

# But not if it is another disk's.
run_expect 0 ublkd quiesce "$dev"
rm "$image"
other=$(make_image other 8M)
second=$(add_dev loop file="$other" --recovery queue)
run_expect 0 ublkd quiesce "$second"
ln "$other" "$image"
expect_error 4 "$second" recover "$dev" --other-backing
still_quiesced
del_dev "$second"
run_expect 0 ublkd recover "$dev" --other-backing
del_dev "$dev"

# A disk of the same number that is another one.
loop=$(make_loop "$other")
dev=$(add_dev loop file="$loop" --recovery queue)
run_expect 0 ublkd quiesce "$dev"
losetup -d "$loop"
wait_until 10 test ! -e "/sys/block/${loop##*/}/loop" || fail "the loop device stays"
make_image third 8M >/dev/null
losetup "$loop" "$UBLK_TEST_DIR/third"
expect_error 5 "another disk" recover "$dev"
del_dev "$dev"

# A record of before there were identities is as good as ever.
dev=$(add_dev loop file="$other" --recovery queue)
run_expect 0 ublkd quiesce "$dev"
record=/run/ublkd/$(dev_id "$dev").json
jq 'del(.backings)' "$record" >"$UBLK_TEST_DIR/record"
cp "$UBLK_TEST_DIR/record" "$record"
expect_error 4 "$dev" add loop file="$other"
run_expect 0 ublkd recover "$dev"
[ "$(jq '.backings | length' "$record")" -eq 1 ] || fail "the new record has no identity"
del_dev "$dev"
expect_nothing_left
