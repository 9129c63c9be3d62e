#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is installed is all that an author of a target needs: pkg-config finds the library, and the
# example is built with nothing else.
# timeout: 300
source "$(dirname "$0")/../fixture.sh"

prefix=$UBLK_TEST_DIR/prefix
make -C "$UBLK_ROOT" install-userspace PREFIX="$prefix" >"$UBLK_TEST_DIR/install.log" 2>&1 ||
    fail "make install-userspace: $(tail -n 5 "$UBLK_TEST_DIR/install.log")"
[ -x "$prefix/sbin/ublkd" ] || fail "no ublkd in $prefix/sbin"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
mapfile -t flags < <(pkg-config --cflags --libs --static ublk | xargs -n 1)
[ "${#flags[@]}" -gt 0 ] || fail "pkg-config does not find the library"
c++ "$UBLK_ROOT/userspace/examples/hello_target.cpp" "${flags[@]}" -o "$UBLK_TEST_DIR/hello" \
    2>"$UBLK_TEST_DIR/errors" || fail "${flags[*]}: $(<"$UBLK_TEST_DIR/errors")"
