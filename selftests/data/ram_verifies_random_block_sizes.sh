#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is written to a ram device in blocks of random sizes is read back: 1 and 2 queues, direct and
# buffered I/O.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

verify_all_ways 512 ram size=16M
