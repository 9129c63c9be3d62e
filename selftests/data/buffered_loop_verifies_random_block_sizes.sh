#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same through the page cache of the backing file: loop with direct=no.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

image=$(make_image disk 16M)
verify_all_ways 512 loop file="$image" direct=no
