#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints libublk(3): library-manual.py VERSION EXAMPLE HEADER...

What each public header says of itself in its first comment, and a whole program.
"""

import os
import re
import sys


def escaped(text):
    """As ublkd's own pages are."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    for char, name in (("'", "aq"), ("`", "ga"), ("^", "ha"), ("~", "ti")):
        text = text.replace(char, f"\\({name}")
    return re.sub(r"^(\.|\\\(aq)", r"\\&\1", text, flags=re.M)


def first_comment(path):
    """The lines behind the licence, up to the first that is no comment."""
    words = []
    with open(path, encoding="utf-8") as file:
        for line in file.read().splitlines()[1:]:
            if not line.startswith("//"):
                break
            words.append(line[2:].strip())
    if not words:
        sys.exit(f"{path}: no comment that says what it owns")
    return " ".join(words)


def main():
    version, example, *headers = sys.argv[1:]
    print('.\\" SPDX-License-Identifier: GPL-2.0-or-later')
    print(f'.TH LIBUBLK 3 "" "libublk {version}" "Userspace block devices"')
    print(".SH NAME\nlibublk \\- serve block devices from userspace")
    print(".SH SYNOPSIS\n.nf")
    for header in headers:
        print(escaped(f"#include <ublk/{os.path.basename(header)}>"))
    print(".fi\n.PP\n.nf")
    print(escaped("c++ program.cpp $(pkg-config --cflags --libs ublk)"))
    print(".fi\n.SH DESCRIPTION")
    print(escaped("A C++20 library to make a block device of a program. Each header says all of its"))
    print(escaped("units, ranges, errors, threads and owners; this is what they are about:"))
    for header in headers:
        print(f".TP\n\\fB<ublk/{escaped(os.path.basename(header))}>\\fR")
        print(escaped(first_comment(header)))
    print(".SH EXAMPLES\nA whole block device:\n.PP\n.nf")
    with open(example, encoding="utf-8") as file:
        print(escaped(file.read().rstrip()))
    print(".fi\n.SH SEE ALSO\n.BR ublkd (8)")


if __name__ == "__main__":
    main()
