#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A discarded range of a ram device gives its memory back and reads as zeroes.
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"

dev=$(add_dev ram size=16M)
server=$(server_pid "$dev")
memory=
for fd in /proc/"$server"/fd/*; do
    case $(readlink "$fd") in /memfd:*) memory=$fd ;; esac
done
[ -n "$memory" ] || fail "the server has no memfd"
noise=$(make_noise noise 16)
dd if="$noise" of="$dev" bs=1M conv=fsync status=none
before=$(stat -L -c %b "$memory")
blkdiscard --offset 4M --length 8M "$dev"
freed=$((before - $(stat -L -c %b "$memory")))
[ "$freed" -ge $(((8 << 20) / 512)) ] || fail "only $freed sectors of memory were freed"
cmp <(head -c 4M "$noise" && head -c 8M /dev/zero && tail -c 4M "$noise") "$dev" ||
    fail "wrong contents after the discard"
del_dev "$dev"
