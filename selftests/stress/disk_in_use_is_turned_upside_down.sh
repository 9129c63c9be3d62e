#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Resizing, quiescing, killing and recovering under load, in any order: two users who verify what they wrote
# see neither an error nor wrong data, and no memory is lost.
# timeout: 400
# full-timeout: 7200
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/leaks.sh"
source "$(dirname "$0")/../lib/stress.sh"

run_often upheavals "$(amount 30 1000)" || fail "the disk does not stand it"
