#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is written to a loop device in blocks of random sizes is read back: 1 and 2 queues, direct and
# buffered I/O, on a file opened with O_DIRECT.
# modes: 512 4096 4096+user
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 16M)
verify_all_ways "$MODE" loop file="$image" --block-size "$MODE"
