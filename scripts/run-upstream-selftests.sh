#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs upstream's own ublk selftests, those of Debian's kernel source 7.3, in QEMU: against our
# driver, or the kernel's own. Ends with a line of counts, like scripts/run-vm-tests.sh.

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/kernels.sh
source "$ROOT/scripts/lib/kernels.sh"
# shellcheck source=scripts/lib/upstream.sh
source "$ROOT/scripts/lib/upstream.sh"

usage() {
    cat <<USAGE
usage: scripts/run-upstream-selftests.sh [OPTION]... [TEST | GROUP]...
  --kernel V     6.1, 6.12 or 7.3 (default), or a debug kernel: see scripts/build-debug-kernel
  --in-tree      test the kernel's own driver
  --timeout S    host seconds for the whole run (default 9000, on debug kernels five times that)
  --append ARGS  more kernel parameters
  --no-build     take everything as it is
  --verbose      show the output of tests that pass too
  --list         list the tests and leave
TEST is a name like generic_02, GROUP its first part. All tests run if none is named. Their results
must be those of scripts/lib/upstream-expected.
USAGE
}

KERNEL=7.3 DRIVER=ours BUILD=yes LIST=no TIMEOUT=
OPTIONS=()
WANTED=()
while [ $# -gt 0 ]; do
    case $1 in
    --kernel | --timeout | --append)
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
        --append) OPTIONS+=("$1" "$2") ;;
        --kernel) KERNEL=$2 ;;
        --timeout) TIMEOUT=$2 ;;
        esac
        shift
        ;;
    --in-tree)
        DRIVER=in-tree
        OPTIONS+=(--in-tree)
        ;;
    --no-build) BUILD=no ;;
    --verbose) OPTIONS+=(--verbose) ;;
    --list) LIST=yes ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) WANTED+=("$1") ;;
    esac
    shift
done

# Prints the tests that a word on the command line means.
expand_word() {
    upstream_test_names | grep -xE "$1(_[0-9]+)?" || die "no such test: $1 (see --list)"
}

# A suite for selftests/run, in which every test is the same program under the test's name.
make_suite() {
    local name
    rm -rf "$SUITES"
    mkdir -p "$SUITES/upstream"
    while read -r name; do
        ln -sr "$ROOT/scripts/lib/guest/upstream-test" "$SUITES/upstream/$name.sh"
        echo "* upstream/$name.sh expected:"
    done < <(upstream_test_names) >"$SUITES/allowed-skips"
}

if [ "$BUILD" = yes ]; then
    "$ROOT/scripts/setup"
    [ "$DRIVER" != ours ] ||
        logged "$ROOT/build/logs/module-$KERNEL.log" "$ROOT/scripts/build-module" "$KERNEL"
fi
upstream_ready || die "upstream's selftests are not in the cache: run scripts/setup upstream"
if [ "$LIST" = yes ]; then
    upstream_test_names
    exit 0
fi

TESTS=()
if [ "${#WANTED[@]}" -eq 0 ]; then
    mapfile -t TESTS < <(upstream_test_names)
fi
for word in "${WANTED[@]}"; do
    names=$(expand_word "$word")
    mapfile -t -O "${#TESTS[@]}" TESTS <<<"$names"
done

expect_known_kernel "$KERNEL"
: "${TIMEOUT:=$((9000 * $(time_factor "$KERNEL")))}"

# One folder per run: others may be running.
mkdir -p "$ROOT/build/vm"
SUITES=$(mktemp -d "$ROOT/build/vm/upstream-$KERNEL-XXXXXX")
trap 'rm -rf "$SUITES"' EXIT
make_suite
status=0
UBLK_TEST_SUITES=$SUITES UBLK_TEST_ALLOWED_SKIPS=$SUITES/allowed-skips \
    "$ROOT/scripts/run-vm-tests.sh" --no-build --kernel "$KERNEL" --timeout "$TIMEOUT" \
    "${OPTIONS[@]}" "${TESTS[@]/#/upstream/}" || status=$?
exit "$status"
