#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Unknown verbs, options, targets and keys, missing and malformed values: status 1 (2 for a target that
# does not exist), one line that says what to do, and nothing happens.
# timeout: 240
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

expect_error 1 verb
expect_error 1 nonsense nonsense
expect_error 1 colour add null --colour
expect_error 1 . add
expect_error 2 nonsense add nonsense
expect_error 2 nonsense targets nonsense
expect_error 1 nonsense help nonsense

expect_error 1 colour add null colour=blue
expect_error 1 stray add null stray
expect_error 1 file add loop
expect_error 1 size add ram
expect_error 1 file add loop file=
expect_error 1 size add null size=1G size=2G

for number in '' x 0x10 -1 1.5 1GG 99999999999999999999 17179869184T; do
    expect_error 1 size add ram size="$number"
done
expect_error 1 size=0 add ram size=0
expect_error 1 direct add loop file=/dev/null direct=maybe
for option in --queues --depth --number; do
    for number in x -1 99999999999; do
        expect_error 1 "${option#--}" add null "$option=$number"
    done
done
expect_error 1 queues add null --queues 0
expect_error 1 depth add null --depth 0
for option in --block-size --physical-block-size --max-io; do
    for size in x 0 513 1T; do
        expect_error 1 . add null "$option=$size"
    done
done
expect_error 1 . add null --block-size 256
expect_error 1 . add null --block-size 8192
expect_error 1 . add null --block-size 4096 --physical-block-size 512
expect_error 1 . del
expect_error 1 . del --all 0
expect_error 1 nonsense del nonsense
expect_error 1 . show
expect_error 1 . show /dev/null
expect_error 1 . show ublkb
expect_error 1 . show ublkb-1
expect_error 1 . show 99999999999
