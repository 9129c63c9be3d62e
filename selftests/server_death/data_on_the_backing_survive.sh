#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What was written and flushed before the server was killed is there when the file is attached again,
# under the same number, with all that fio verifies.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 16M)
dev=$(add_dev loop file="$image" --number 5)
fio --name=data --filename="$dev" --ioengine=libaio --iodepth=8 --rw=randwrite --size=8M --direct=1 \
    --bsrange=512-64k --verify=crc32c --do_verify=0 --end_fsync=1 --randseed=1 --eta=never
kill_server "$dev"
del_dev "$dev"
[ "$(add_dev loop file="$image" --number 5)" = "$dev" ] || fail "another number"
fio --name=data --filename="$dev" --ioengine=libaio --iodepth=8 --rw=randwrite --size=8M --direct=1 \
    --bsrange=512-64k --verify=crc32c --verify_only --verify_fatal=1 --randseed=1 --eta=never ||
    fail "data are lost"
del_dev "$dev"
