#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The part of scripts/run-liar in the guest: see that bytes of freed memory are found where a driver
# lets them out, then run the generator with the options given.
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

prove_poison
exec "$LIAR" "$@"
