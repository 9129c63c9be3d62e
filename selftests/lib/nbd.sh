# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Vocabulary of the tests that have an NBD server, beside lib.sh and io.sh.

NBD_SOCKET=$UBLK_TEST_DIR/nbd.sock
# shellcheck disable=SC2034 # the tests'
NBD_URI="nbd+unix:///?socket=$NBD_SOCKET"
NBDKIT=

# nbdkit on that socket, until stop_nbdkit: start_nbdkit PLUGIN [ARGUMENT]...
start_nbdkit() {
    require_program nbdkit
    rm -f "$NBD_SOCKET" "$NBD_SOCKET.pid"
    nbdkit --foreground --unix "$NBD_SOCKET" --pidfile "$NBD_SOCKET.pid" "$@" \
        >>"$UBLK_TEST_DIR/nbdkit.log" 2>&1 &
    NBDKIT=$!
    on_exit eval "kill -KILL $NBDKIT 2>/dev/null || :"
    wait_until 30 test -s "$NBD_SOCKET.pid" || fail "nbdkit: $(<"$UBLK_TEST_DIR/nbdkit.log")"
}

# Waits until it is gone: stop_nbdkit SIGNAL
stop_nbdkit() {
    kill -"$1" "$NBDKIT"
    wait "$NBDKIT" || : # its status is that of the signal
}
