#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every verb explains itself, with its options and exit codes; targets tells the keys; version and
# --json work everywhere. An output that cannot be written is an error.
# timeout: 120
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/cli.sh"

verbs=(add del list show resize filter command stats stop quiesce recover reclaim doctor features targets filters completion help version)
run_expect 0 ublkd help
for verb in "${verbs[@]}"; do
    grep -qE "^ +$verb " <<<"$OUT" || fail "help does not know $verb"
done
for verb in "${verbs[@]}"; do
    run_expect 0 ublkd help "$verb"
    [[ $OUT == *"ublkd $verb"* && $OUT == *"Exit codes:"* ]] || fail "help $verb: $OUT"
    [ -z "$ERR" ] || fail "help $verb: $ERR"
    help=$OUT
    run_expect 0 ublkd "$verb" --help
    [ "$OUT" = "$help" ] || fail "$verb --help says something else than help $verb"
done
run_expect 0 ublkd --help
run_expect 0 ublkd --version

run_expect 0 ublkd targets
for target in null ram loop; do
    grep -qE "^$target " <<<"$OUT" || fail "targets lacks $target"
done
run_expect 0 ublkd targets --json
jq -e '[.targets[].name] | contains(["null", "ram", "loop"])' <<<"$OUT" >/dev/null || fail "$OUT"
run_expect 0 ublkd targets loop --json
jq -e '[.target.keys[].key] | contains(["file", "direct", "offset", "sizelimit"])' <<<"$OUT" \
    >/dev/null || fail "$OUT"
run_expect 0 ublkd targets loop
[[ $OUT == *sizelimit* ]] || fail "targets loop: $OUT"
for verb in list features version help targets filters; do
    run_expect 0 ublkd "$verb" --json
    jq -e '.schema == 1' <<<"$OUT" >/dev/null || fail "$verb --json: $OUT"
done
full() {
    ublkd "$@" >/dev/full
}
run_expect 5 full list
