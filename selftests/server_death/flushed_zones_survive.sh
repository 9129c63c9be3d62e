#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# After the server of a zoned disk in a file was killed, each write pointer is at least where the last
# flush found it, everything before it is what was written, and the zone can be written on.
# timeout: 180
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/zoned.sh"
require_program blkzone

MODE='file'
noise=$(make_noise noise 1)
pointer() {
    one_zone "$dev" "$1" | sed -n 's/.*wptr \(0x[0-9a-f]*\).*/\1/p'
}
dev=$(add_zoned size=16M zone-size=2M)
for round in 1 2 3; do
    zone=$((2 * round))
    write_at "$dev" "$noise" $((zone * 2048)) count=32 conv=notrunc,fsync
    # This is not flushed, and somebody is writing when the server dies.
    write_at "$dev" "$noise" $((zone * 2048 + 128)) count=16 skip=32
    write_at "$dev" "$noise" $(((zone + 1) * 2048)) 2>/dev/null &
    writer=$!
    kill_server "$dev"
    wait "$writer" || echo "# the writer has got an error"
    del_dev "$dev"

    dev=$(add_zoned)
    written=$(($(pointer "$zone") * 512))
    echo "# round $round: $written bytes"
    [ "$written" -ge $((128 << 10)) ] || fail "what was flushed is gone: $(one_zone "$dev" "$zone")"
    for each in "$zone" $((zone + 1)); do
        written=$(($(pointer "$each") * 512))
        head -c "$written" "$noise" >"$UBLK_TEST_DIR/expected"
        [ "$written" -eq 0 ] || same_at "$dev" "$UBLK_TEST_DIR/expected" $((each * 2048)) ||
            fail "zone $each claims what was not written"
        zeroes_at "$dev" $((each * 2048 + written / 1024)) $((2048 - written / 1024))
    done
    written=$(($(pointer "$zone") * 512))
    write_at "$dev" "$noise" $((zone * 2048 + written / 1024)) count=8
done
del_dev "$dev"
