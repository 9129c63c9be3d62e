# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Vocabulary of the tests whose disks are in a Ceph cluster on the host, which scripts/run-rbd-tests makes
# and puts into UBLK_TEST_CEPH. Sourced after lib.sh and io.sh.

[ -n "${UBLK_TEST_CEPH:-}" ] || skip "there is no cluster; scripts/run-rbd-tests makes one"
export CEPH_CONF=$UBLK_TEST_CEPH/ceph.conf
unset CEPH_ARGS

# The cluster listens on an address of the host's loopback network, which a kernel takes for its own unless
# it is told otherwise.
reach_cluster() {
    local address setting
    address=$(sed -n 's/^public addr = //p' "$CEPH_CONF")
    [[ $(ip route get "$address") != *' dev eth0 '* ]] || return 0
    for setting in all eth0; do
        echo 1 >"/proc/sys/net/ipv4/conf/$setting/route_localnet"
    done
    ip route del local 127.0.0.0/8 dev lo table local
    ip route add "$address/32" via 10.0.2.2 dev eth0 src 10.0.2.15
}
reach_cluster

# Has something done to the cluster that only the host can do: host_does kill osd.1
host_does() {
    rm -f "$UBLK_RESULTS/answer"
    echo "$*" >"$UBLK_RESULTS/ask.new"
    mv "$UBLK_RESULTS/ask.new" "$UBLK_RESULTS/ask"
    wait_until 120 test -e "$UBLK_RESULTS/answer" || fail "the host does not do it: $*"
    [ "$(<"$UBLK_RESULTS/answer")" = 0 ] || fail "the host cannot: $*"
}

# An image that is gone when the test ends: make_rbd_image NAME SIZE [OPTION]...
make_rbd_image() {
    local name=$1 size=$2
    shift 2
    rbd create "$name" --size "$size" "$@" || fail "cannot make an image"
    on_exit eval "rbd --no-progress rm $name >/dev/null 2>&1 || :"
}

# The address of the client that has the lock of an image.
rbd_lock_owner() {
    rbd lock ls "$1" --format json | jq -r '.[].address'
}
