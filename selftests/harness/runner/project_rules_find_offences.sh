#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# Every rule of scripts/lib/rules.py speaks up about a file that breaks it, with its line, and is
# silent about one that does not.
source "$(dirname "$0")/../fixture.sh"

cd "$UBLK_TEST_DIR"
mkdir -p kernel/compat userspace/targets userspace/lib selftests

offends() {
    run_expect 1 python3 "$UBLK_ROOT/scripts/lib/rules.py" "$1" "$2"
    [[ $OUT == "$2:$3: "* ]] || fail "$1 says '$OUT', not $2:$3"
}

is_fine() {
    run_expect 0 python3 "$UBLK_ROOT/scripts/lib/rules.py" "$1" "$2"
}

printf '\n#if LINUX_VERSION\n' >kernel/a.c
cp kernel/a.c kernel/compat/a.c
offends api-conditionals kernel/a.c 2
is_fine api-conditionals kernel/compat/a.c
printf 'int x = KERNEL''_VERSION(6, 1, 0);\n' >kernel/b.h
offends api-conditionals kernel/b.h 1

seq 801 >long.c
offends file-length long.c 801
is_fine file-length kernel/a.c
seq 601 >kernel/long.c
offends file-length kernel/long.c 601

function_of() {
    printf '%s\n{\n' "$2"
    seq "$1" | sed 's|.*|\t/* } */ f("}");|'
    echo '}'
}
{
    echo 'namespace x {'
    function_of 78 'int Class::name(int a)'
} >function.cpp
offends function-length function.cpp 2
function_of 77 'int name(int a)' >function.c
is_fine function-length function.c
{
    echo '/* long function: a flat list */'
    function_of 100 'int name(int a)'
} >function.c
is_fine function-length function.c

mkdir Documentation
cat >Documentation/architecture.rst <<'RST'
.. order of kernel/

::

   low.c  middle.c
   high.c

More of low.c and none.c.
RST
cat >kernel/low.c <<'C'
#include "all.h"
/* Nothing but a comment names ublk_high(). */
int ublk_low(const char *name)
{
	return ublk_low("ublk_high");
}
C
printf '#include "high.h"\n' >kernel/middle.h
cat >kernel/middle.c <<'C'
#include "low.h"
const struct table ublk_middle = {
	.call = ublk_high,
};
C
cat >kernel/high.c <<'C'
static int ublk_low_of_its_own;
int ublk_high(void)
{
	return ublk_low(0) + ublk_middle.count;
}
C
printf '#include "high.h"\n' >kernel/all.h
is_fine kernel-layers kernel/low.c
is_fine kernel-layers kernel/high.c
is_fine kernel-layers kernel/all.h
is_fine kernel-layers Documentation/architecture.rst
offends kernel-layers kernel/middle.c 3
offends kernel-layers kernel/middle.h 1
echo 'int x = ublk_middle;' >kernel/low.c
offends kernel-layers kernel/low.c 1
echo 'void compat_low(void) { ublk_high(); }' >kernel/compat/low.c
offends kernel-layers kernel/compat/low.c 1
echo 'int x;' >kernel/new.c
offends kernel-layers kernel/new.c 1
rm kernel/high.c
offends kernel-layers Documentation/architecture.rst 1

printf 'false || tr''ue\n' >selftests/a.sh
offends lost-failures selftests/a.sh 1

printf '\ncd /ho''me/somebody\n' >path.sh
offends machine-paths path.sh 2
echo 'deb http://deb.deb''ian.org/ x main' >mirror.sh
offends machine-paths mirror.sh 1
is_fine machine-paths selftests/a.sh

echo 'int x;' >bare.c
offends spdx bare.c 1
echo '// SPDX-License-Identifier: MIT' >licensed.c
is_fine spdx licensed.c

touch userspace/lib/ring.h userspace/targets/own.h
printf '#include <ublk/io.h>\n#include "own.h"\n#include <ring.h>\n' >userspace/targets/a.cpp
offends target-includes userspace/targets/a.cpp 3
printf '#include <liburing.h>\n' >userspace/targets/b.cpp
offends target-includes userspace/targets/b.cpp 1

echo '/* FIX''ME */' >unfinished.c
offends unfinished unfinished.c 1
