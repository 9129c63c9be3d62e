# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Vocabulary of the tests that let something fail in ublkd. Sourced after lib.sh, io.sh and stress.sh.

# A verb in which something may have failed has done its work, or says so in one line and an exit code
# of the manual, and is done with: survives COMMAND... The status is in STATUS. The command may be a
# function that prepares a call of ublkd.
survives() {
    STATUS=0
    "$@" >"$UBLK_TEST_DIR/.out" 2>"$UBLK_TEST_DIR/.err" </dev/null || STATUS=$?
    ERR=$(<"$UBLK_TEST_DIR/.err")
    [ "$STATUS" -le 8 ] || fail "$*: status $STATUS: $ERR"
    [[ $ERR != *terminate* ]] || fail "$*: $ERR"
    [ "$STATUS" -ne 0 ] || return 0
    [[ $ERR != *$'\n'* ]] || fail "$*: not one line: $ERR"
    [[ $ERR == "ublkd: "*")" ]] || fail "$*: it does not say what to do: $ERR"
}

# Lets each verb be done with failures, as often as that is asked for, by a function of the test that
# is called with its words: fail_in_every_verb TIMES FUNCTION. Disks go on, whatever happens to the
# verb, but for those that it was told to end.
fail_in_every_verb() {
    local times=$1 failing=$2 image dev round verb kept
    image=$(make_image kept 16M)
    kept=$(add_dev loop file="$image" --recovery queue)
    for ((round = 0; round < times; round++)); do
        for verb in "list" "show $kept" "features" "targets --json" "resize $kept auto"; do
            # shellcheck disable=SC2086 # words
            survives "$failing" $verb
            [ "$(ublkd show "$kept" --json | jq -r .state)" = live ] || fail "$verb: $kept is gone"
        done
        fail_in_add "$failing" "$(make_image "new$((round % 4))" 16M)"
        fail_in_recovery "$failing" "$kept"
    done
    del_dev "$kept"
}

fail_in_add() {
    local failing=$1 image=$2 before dev
    before=$(what_is_there)
    survives "$failing" add loop file="$image" --queues 2
    dev=$(<"$UBLK_TEST_DIR/.out")
    if [ "$STATUS" -ne 0 ]; then
        wait_until 20 nothing_new_since "$before" ||
            fail "add left: $(diff <(echo "$before") <(what_is_there)) after: $ERR"
        return
    fi
    on_exit forget_dev "$dev"
    survives "$failing" del "$dev"
    [ "$STATUS" -eq 0 ] || run_expect 0 ublkd del "$dev"
    wait_until 20 nothing_new_since "$before" ||
        fail "del left: $(diff <(echo "$before") <(what_is_there)) after: $ERR"
}

nothing_new_since() {
    [ "$(what_is_there)" = "$1" ]
}

# Whichever of the two fails, the disk can be recovered.
fail_in_recovery() {
    local failing=$1 dev=$2
    if has_feature QUIESCE; then
        survives "$failing" quiesce "$dev"
        [ "$STATUS" -eq 0 ] || run_expect 0 ublkd quiesce "$dev"
    else
        kill_server "$dev"
    fi
    survives "$failing" recover "$dev"
    [ "$STATUS" -eq 0 ] || run_expect 0 ublkd recover "$dev"
    dd if="$dev" of=/dev/null bs=4k count=1 iflag=direct status=none || fail "$dev cannot be read"
}
