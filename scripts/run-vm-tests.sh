#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds what the tests need, boots a kernel in QEMU and runs the test suites there. Ends with
# a line of counts; a guest that dies counts as failures, never as silence.

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/kernels.sh
source "$ROOT/scripts/lib/kernels.sh"

usage() {
    cat <<USAGE
usage: scripts/run-vm-tests.sh [OPTION]... [SUITE | SUITE/TEST | smoke]...
  --kernel V     6.1 (default), 6.12 or 7.3, or a debug kernel: see scripts/build-debug-kernel
  --in-tree      test with the kernel's own driver
  --no-module    test without any driver
  --built-in     test with our driver in the kernel that --image names
  --timeout S    host seconds for the whole run (default 3000, on debug kernels five times that)
  --full-machine test on a machine with all that usually looks at new disks: see scripts/vm
  --udev RULES   own or machine: see scripts/vm
  --memory MB    memory of the guest
  --append ARGS  more kernel parameters
  --image FILE   boot this vmlinux, with the kernel's modules
  --copy MODE    let the data of every device take one way: driver, user, zero or shmem
  --full         let the tests that can be long be so: hours; the default timeout is 12 hours then
  --no-build     take everything as it is
  --verbose      show the output of tests that pass too
  --list         list the tests and leave
USAGE
}

KERNEL=6.1 MODULE=ours BUILD=yes
VM_OPTIONS=()
TIMEOUT=
RUN_OPTIONS=()
TESTS=()
while [ $# -gt 0 ]; do
    case $1 in
    --kernel | --timeout | --memory | --append | --image | --copy | --udev)
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
        --kernel) KERNEL=$2 ;;
        --timeout) TIMEOUT=$2 ;;
        --memory | --append | --image | --udev) VM_OPTIONS+=("$1" "$2") ;;
        --copy) RUN_OPTIONS+=(--copy "$2") ;;
        esac
        shift
        ;;
    --in-tree | --no-module | --built-in)
        MODULE=${1#--}
        VM_OPTIONS+=("$1")
        ;;
    --full-machine) VM_OPTIONS+=("$1") ;;
    --full)
        export UBLK_TEST_STRESS=full
        : "${TIMEOUT:=43200}"
        ;;
    --no-build) BUILD=no ;;
    --verbose) RUN_OPTIONS+=(--verbose) ;;
    --list) exec "$ROOT/selftests/run" --list ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) TESTS+=("$1") ;;
    esac
    shift
done

build() {
    "$ROOT/scripts/setup"
    [ "$MODULE" != ours ] ||
        logged "$ROOT/build/logs/module-$KERNEL.log" "$ROOT/scripts/build-module" "$KERNEL"
    logged "$ROOT/build/logs/programs.log" make -C "$ROOT" programs
}

count_of() {
    awk -v key="$1" '$1 == key { print $2 }' "$COUNTS"
}

# The guest died before the runner could count: what had not run has failed.
count_dead_guest() {
    local passed=0 failed=1 skipped=0 running=
    if [ -s "$COUNTS" ]; then
        passed=$(count_of passed) skipped=$(count_of skipped) running=$(count_of running)
        failed=$(($(count_of planned) - passed - skipped))
    fi
    echo "# the guest died${running:+ during $running}; tests that did not run count as failed"
    [ -z "$running" ] || echo "  not ok - $running"
    echo "$passed passed, $failed failed, $skipped skipped"
}

# All was well for the runner, but not for the kernel.
count_kernel_bug() {
    echo "not ok - kernel log"
    echo "$(count_of passed) passed, $(($(count_of failed) + 1)) failed, $(count_of skipped) skipped"
}

expect_known_kernel "$KERNEL"
export UBLK_TEST_TIME_FACTOR=${UBLK_TEST_TIME_FACTOR:-$(time_factor "$KERNEL")}
: "${TIMEOUT:=$((3000 * UBLK_TEST_TIME_FACTOR))}"
"$ROOT/selftests/run" --list "${RUN_OPTIONS[@]}" "${TESTS[@]}" >/dev/null || exit 1
if [ "$BUILD" = yes ]; then
    build
fi
mkdir -p "$ROOT/build/vm"
RESULTS=$(mktemp -d "$ROOT/build/vm/tests-$KERNEL-XXXXXX")
COUNTS=$RESULTS/counts
status=0
"$ROOT/scripts/vm" --kernel "$KERNEL" --timeout "$TIMEOUT" --results "$RESULTS" \
    "${VM_OPTIONS[@]}" -- selftests/run "${RUN_OPTIONS[@]}" "${TESTS[@]}" |
    tee "$RESULTS/ktap" || status=$?
if [ "$status" -ge 123 ]; then
    if tail -n 1 "$RESULTS/ktap" | grep -qE '^[0-9]+ passed, '; then
        count_kernel_bug
    else
        count_dead_guest
    fi
fi
exit "$status"
