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

# With the first time that is not the dynamic linker's, and what the kernel could have to say.
calls=(openat:14:EMFILE openat:14:ENOMEM mmap:40:ENOMEM read:10:EIO newfstatat:12:ENOMEM
    clone3:1:EAGAIN clone:1:EAGAIN socketpair:1:EMFILE socket:1:EMFILE eventfd2:1:EMFILE
    signalfd4:1:EMFILE io_uring_setup:1:ENOMEM io_uring_register:1:ENOMEM io_uring_enter:1:EAGAIN
    pidfd_open:1:EMFILE rename:1:ENOSPC mkdir:1:ENOSPC ioctl:1:EIO unshare:1:ENOMEM mount:1:ENOMEM
    getrandom:2:EAGAIN fallocate:1:ENOSPC flock:1:ENOLCK bind:1:ENOSPC listen:1:EADDRINUSE
    inotify_init1:1:EMFILE inotify_add_watch:1:ENOSPC poll:1:ENOMEM
    sendto:1:ENOBUFS recvfrom:1:ENOMEM getdents64:1:ENOMEM chdir:1:EACCES mlockall:1:ENOMEM
    prctl:1:EPERM prlimit64:3:EPERM sched_setaffinity:1:EINVAL setsid:1:EPERM)

refused() {
    local call first error
    IFS=: read -r call first error <<<"${calls[RANDOM % ${#calls[@]}]}"
    echo "$call $error" >>"$UBLK_TEST_DIR/refused"
    strace -D -f -qq -o /dev/null -e trace="$call" \
        -e inject="$call:error=$error:when=$((first + RANDOM % 4))" ublkd "$@"
}

fail_in_every_verb "$(amount 4 200)" refused
figure "$(wc -l <"$UBLK_TEST_DIR/refused") calls of ublkd were made with refusals"
