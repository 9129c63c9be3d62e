#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# reclaim tells what a server that was killed has left, frees it only when told to, and touches neither a
# disk that is served nor one that waits for its next server.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

image=$(make_image disk 8M)
served=$(add_dev null)
waiting=$(add_dev loop file="$image" --recovery queue)
dead=$(add_dev null)
run_expect 0 ublkd quiesce "$waiting"
run_expect 0 ublkd reclaim
[ -z "$OUT" ] || fail "what is no leftover: $OUT"

kill_server "$dead"
run_expect 0 ublkd reclaim --json
jq -e --argjson id "$(dev_id "$dead")" '.freed == false and ([.leftovers[].id] | unique) == [$id]' \
    <<<"$OUT" >/dev/null || fail "leftovers: $OUT"
run_expect 0 ublkd reclaim
[[ $OUT == *"ublkd reclaim --yes"* ]] || fail "it does not say how to free them: $OUT"
[ "$(ublkd reclaim --json | jq '.leftovers | length')" != 0 ] || fail "it was freed without --yes"

run_expect 0 ublkd reclaim --yes
[ "$(ublkd reclaim --json | jq '.leftovers | length')" = 0 ] || fail "left: $(ublkd reclaim)"
[ "$(ublkd list --json | jq -c '[.devices[].id] | sort')" = \
    "$(printf '[%s,%s]' "$(dev_id "$served")" "$(dev_id "$waiting")")" ] || fail "left: $(ublkd list)"
run_expect 0 ublkd recover "$waiting"
del_dev "$waiting"
del_dev "$served"
expect_nothing_left
