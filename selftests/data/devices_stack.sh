#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A ublk device can be the backing of another: data pass through both, and the lower one cannot be
# deleted meanwhile.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

lower=$(add_dev ram size=32M)
upper=$(add_dev loop file="$lower")
fio_verify "$upper" --direct=1 --bsrange=512-64k --size=3M
run_expect 4 ublkd del "$lower"
fio_verify "$upper" --direct=0 --bsrange=512-64k --size=3M
del_dev "$upper"
del_dev "$lower"
