#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel refuses ublkd, or its server, something that it has never refused before, at random: each
# verb does its work or ends with one line and an exit code, and leaves nothing behind.
# timeout: 600
# full-timeout: 7200
source "$(dirname "$0")/../lib.sh"
source "$(dirname "$0")/../lib/io.sh"
source "$(dirname "$0")/../lib/stress.sh"
source "$(dirname "$0")/../lib/failures.sh"

# And what the kernel could have to say.
calls=(openat:EMFILE openat:ENOMEM mmap:ENOMEM read:EIO newfstatat:ENOMEM
    clone3:EAGAIN clone:EAGAIN socketpair:EMFILE socket:EMFILE eventfd2:EMFILE
    signalfd4:EMFILE io_uring_setup:ENOMEM io_uring_register:ENOMEM io_uring_enter:EAGAIN
    pidfd_open:EMFILE rename:ENOSPC mkdir:ENOSPC ioctl:EIO unshare:ENOMEM mount:ENOMEM
    getrandom:EAGAIN fallocate:ENOSPC flock:ENOLCK bind:ENOSPC listen:EADDRINUSE
    inotify_init1:EMFILE inotify_add_watch:ENOSPC poll:ENOMEM
    sendto:ENOBUFS recvfrom:ENOMEM getdents64:ENOMEM chdir:EACCES mlockall:ENOMEM
    prctl:EPERM prlimit64:EPERM sched_setaffinity:EINVAL setsid:EPERM)

# Nothing can be done about what is refused before main() is reached, to the dynamic linker and to the
# constructors of libraries. The verb that does least makes about as many calls as those.
strace -f -qq -o "$UBLK_TEST_DIR/start" ublkd version >"$UBLK_TEST_DIR/version"
calls_of_the_start() {
    grep -c "^[0-9]* *$1(" "$UBLK_TEST_DIR/start" || :
}

refused() {
    local call error first
    IFS=: read -r call error <<<"${calls[RANDOM % ${#calls[@]}]}"
    first=$(($(calls_of_the_start "$call") + 1))
    echo "$call $error" >>"$UBLK_TEST_DIR/refused"
    strace -D -f -qq -o /dev/null -e trace="$call" \
        -e inject="$call:error=$error:when=$((first + RANDOM % 4))" ublkd "$@"
}

fail_in_every_verb "$(amount 4 200)" refused
figure "$(wc -l <"$UBLK_TEST_DIR/refused") calls of ublkd were made with refusals"
