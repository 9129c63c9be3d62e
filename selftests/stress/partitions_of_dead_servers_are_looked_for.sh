#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Partitions are looked for, by the driver, by udev and by programs, while the server dies or does not
# answer: everybody gets an end, devices can be deleted, and no memory is lost.
# timeout: 400
# full-timeout: 7200
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/leaks.sh"
source "$(dirname "$0")/../lib/stress.sh"

run_often partition_scans "$(amount 20 1000)" || fail "somebody waits for a dead server"
