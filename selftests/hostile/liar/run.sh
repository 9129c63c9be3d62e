#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The part of scripts/run-liar in the guest: see that bytes of freed memory are found where a driver
# lets them out, then run the generator with the options given. With UBLK_TEST_COVERAGE=yes tell which
# functions of the driver were called, and let what the acts reach guide them where the kernel tells.
set -euo pipefail

LIAR=$(dirname "$0")/../../../build/selftests/hostile/liar

# Where fresh pages are cleared, poison is never seen. null_blk writes nothing to the pages of a READ.
prove_poison() {
    local output
    modprobe null_blk nr_devices=1 gb=1
    if output=$("$LIAR" --stage leak) || ! grep -q "KERNEL MEMORY" <<<"$output"; then
        echo "freed memory is not seen: is init_on_alloc=0 missing? ${output:-It found nothing.}" >&2
        exit 1
    fi
    modprobe -r null_blk
    echo "# poison is seen: $(grep -o 'KERNEL MEMORY.*' <<<"$output")"
}

# The driver's own functions, but those that the compiler has made part of others.
functions() {
    sed -n 's/^\(ublk_[a-z0-9_]*\)\(\.[a-z0-9.]*\)\{0,1\}[[:space:]]\[ublk_drv\]$/\1/p' \
        /sys/kernel/tracing/available_filter_functions | sort -u
}

# By whatever task. Prints the figure and whom nobody called: run_with_coverage OPTION...
run_with_coverage() {
    local dir=$UBLK_SCRATCH/coverage status=0 tracer calls line
    mkdir "$dir"
    coproc TRACER {
        exec bpftrace -e 'BEGIN { printf("ready\n"); } kprobe:ublk_* { @calls[func] = count(); }'
    }
    # Bash forgets them when it ends.
    tracer=$TRACER_PID
    exec {calls}<&"${TRACER[0]}"
    while line='' && read -r -t 120 -u "$calls" line && [ "$line" != ready ]; do :; done
    [ "$line" = ready ] || {
        echo "bpftrace does not begin to count calls" >&2
        exit 1
    }
    # As far as the kernel tells: then it is what the run goes by.
    if [ -e /sys/kernel/debug/kcov ]; then
        set -- "$@" --coverage --folder "$UBLK_RESULTS"
    else
        echo "# this kernel does not tell of places (KCOV): functions only, and nothing is made of it"
    fi
    "$LIAR" "$@" || status=$?
    kill -INT "$tracer"
    cat <&"$calls" >"$dir/calls"
    functions >"$dir/all"
    sed -n 's/^@calls\[\(ublk_[a-z0-9_]*\).*/\1/p' "$dir/calls" | sort -u >"$dir/called"
    printf '# coverage: %d of %d functions were called\n' \
        "$(comm -12 "$dir/all" "$dir/called" | wc -l)" "$(wc -l <"$dir/all")"
    comm -23 "$dir/all" "$dir/called" | sed 's/^/# not called: /'
    return "$status"
}

prove_poison
if [ "${UBLK_TEST_COVERAGE:-no}" = yes ]; then
    run_with_coverage "$@"
else
    exec "$LIAR" "$@"
fi
