#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's own rules that no other tool knows: rules.py RULE FILE...

Prints one line per offence, FILE:LINE: MESSAGE, and exits with 1 if there is any.
"""

import functools
import os
import re
import sys

MAX_FILE_LINES = 800
MAX_KERNEL_FILE_LINES = 600
MAX_FUNCTION_LINES = 80
C_SUFFIXES = (".c", ".h", ".cpp")


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def grep(path, pattern, message):
    """Offences for every line that matches."""
    for number, line in enumerate(read_lines(path), 1):
        if re.search(pattern, line):
            yield number, message


def is_under(path, folder):
    return path.startswith(folder + "/")


def api_conditionals(path):
    """Only compat/ may know that kernels differ."""
    if not is_under(path, "kernel") or is_under(path, "kernel/compat"):
        return
    if not path.endswith((".c", ".h")):
        return
    yield from grep(
        path,
        r"LINUX_VERSION_CODE|KERNEL_VERSION|COMPAT_HAVE",
        "kernel differences belong in kernel/compat",
    )
    if path.endswith(".c"):
        yield from grep(path, r"^\s*#\s*(if|ifdef|ifndef|elif)\b", "no #if in a .c file")


def file_length(path):
    lines = len(read_lines(path))
    most = MAX_KERNEL_FILE_LINES if is_under(path, "kernel") else MAX_FILE_LINES
    if lines > most:
        yield lines, f"{lines} lines, more than {most}"


def spdx(path):
    # These have formats of their own, without comments.
    if is_under(path, "LICENSES") or path in ("debian/changelog", "debian/source/format"):
        return
    if not any("SPDX-License-Identifier:" in line for line in read_lines(path)[:3]):
        yield 1, "no SPDX-License-Identifier in the first three lines"


def target_includes(path):
    """A target sees the public interface and nothing behind it."""
    folder = os.path.dirname(path)
    if folder != "userspace/targets" or not path.endswith(C_SUFFIXES):
        return
    for number, line in enumerate(read_lines(path), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        quote, name = match.groups()
        if quote == '"' and not os.path.exists(os.path.join(folder, name)):
            yield number, f"a target may not include {name}"
        if quote == "<" and (
            name.startswith(("liburing", "linux/ublk"))
            or os.path.exists(os.path.join("userspace/lib", name))
        ):
            yield number, f"a target may not include {name}"


def machine_paths(path):
    yield from grep(path, r"(?<![\w.$}])/(home|work|root|Users)/[\w.]", "path of one machine")
    yield from grep(
        path, r"\b(deb|security|ftp|snapshot|archive)\.(debian|ubuntu)\.", "name of a mirror"
    )


def unfinished(path):
    yield from grep(path, r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", "unfinished")


def lost_failures(path):
    if is_under(path, "selftests"):
        yield from grep(path, r"\|\| tr" r"ue\b", "hides a failure")


def without_comments_and_strings(text):
    """The same text with comments, literals and preprocessor lines blanked; lines stay."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    text = re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', blank, text, flags=re.S
    )
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def opens_function(head):
    """Whether a brace after this text begins a function's body."""
    if re.search(r"\b(namespace|class|struct|union|enum)\b[^()]*$", head):
        return False
    return ")" in head and "=" not in head.rsplit(")", 1)[1]


def functions(text):
    """First and last line of every function body with its head."""
    depth = 0
    body_depth = None
    head_start = 0
    for position, char in enumerate(text):
        if char == "{":
            if body_depth is None and opens_function(text[head_start:position]):
                head = text[head_start:position]
                skipped = len(head) - len(head.lstrip())
                first = text.count("\n", 0, head_start + skipped) + 1
                body_depth = depth
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == body_depth:
                yield first, text.count("\n", 0, position) + 1
                body_depth = None
        if char in "{};" and body_depth is None:
            head_start = position + 1


def function_length(path):
    if not path.endswith(C_SUFFIXES):
        return
    lines = read_lines(path)
    for first, last in functions(without_comments_and_strings("\n".join(lines))):
        length = last - first + 1
        above = "\n".join(lines[max(0, first - 12) : first - 1]).rsplit("}", 1)[-1]
        if length > MAX_FUNCTION_LINES and "long function:" not in above:
            yield first, f"function of {length} lines, more than {MAX_FUNCTION_LINES}"


def kernel_order():
    """The files of kernel/ from the ground up, as the documentation lists them."""
    listed = "\n".join(read_lines("Documentation/architecture.rst"))
    listed = listed.split(".. order of kernel/", 1)[1].split("::", 1)[1]
    block = re.match(r"\s*\n((?:[ \t]+[^\n]*\n|\n)*)", listed).group(1)
    return re.findall(r"[\w-]+\.c", block)


@functools.cache
def kernel_symbols():
    """Which file defines a name that other files can use: functions and data alike."""
    owners = {}
    definition = re.compile(
        r"^(?!static\b|extern\b|typedef\b)[a-z][^;{}()=]*?\b(ublk_\w+)(?:\([^;{}]*\)\s*\{|\s*(?:=|;|\[))",
        re.M,
    )
    for name in kernel_order():
        path = os.path.join("kernel", name)
        if os.path.exists(path):
            text = without_comments_and_strings("\n".join(read_lines(path)))
            owners.update((symbol, name) for symbol in definition.findall(text))
    return owners


def kernel_layers(path):
    """What a file of kernel/ names stands below it: no circle of calls or includes.

    A name counts wherever it stands. A function whose address goes into a table, a work item or
    a callback is known to the file that puts it there, and a table to the file that hands it out:
    what is reached that way is called from below, but by a pointer that somebody above has set.
    compat/ stands below everything.
    """
    order = kernel_order()
    if path == "Documentation/architecture.rst":
        for name in order:
            if not os.path.exists(os.path.join("kernel", name)):
                yield 1, f"lists kernel/{name}, which is not there"
    if not is_under(path, "kernel") or not path.endswith((".c", ".h")):
        return
    name = path.split("/", 1)[1]
    source = name[:-1] + "c"
    in_compat = name.startswith("compat/")
    if source not in order and not in_compat:
        # Headers that are nobody's own are for all: types, and what can be called.
        if name.endswith(".c"):
            yield 1, "not in the order of files in Documentation/architecture.rst"
        return
    height = -1 if in_compat else order.index(source)
    for number, line in enumerate([] if in_compat else read_lines(path), 1):
        header = re.match(r'\s*#\s*include\s*"(\w+)\.h"', line)
        if header and header.group(1) + ".c" in order[height + 1 :]:
            yield number, f"{name} includes {header.group(1)}.h, which stands above it"
    text = without_comments_and_strings("\n".join(read_lines(path)))
    for number, line in enumerate(text.split("\n"), 1):
        for symbol in re.findall(r"\bublk_\w+", line):
            owner = kernel_symbols().get(symbol)
            if owner and order.index(owner) > height:
                yield number, f"{name} uses {symbol} of {owner}, which stands above it"


# Where the version stands, and how. The first says which it is.
VERSIONS = {
    "CMakeLists.txt": r"^project\(ublk VERSION ([\d.]+)",
    "debian/changelog": r"^ublk \(([^)]+)\)",
    "kernel/ublk_drv.c": r'^MODULE_VERSION\("([^"]+)"\)',
}


def version_in(path):
    for number, line in enumerate(read_lines(path), 1):
        if found := re.match(VERSIONS[path], line):
            return number, found[1]
    return 1, "none"


def versions(path):
    if path not in VERSIONS:
        return
    number, version = version_in(path)
    first = next(iter(VERSIONS))
    wanted = version_in(first)[1]
    if version != wanted:
        yield number, f"version {version}, but {wanted} in {first}"


RULES = {
    "api-conditionals": api_conditionals,
    "file-length": file_length,
    "function-length": function_length,
    "kernel-layers": kernel_layers,
    "lost-failures": lost_failures,
    "machine-paths": machine_paths,
    "spdx": spdx,
    "target-includes": target_includes,
    "unfinished": unfinished,
    "versions": versions,
}


def main():
    if len(sys.argv) == 2 and sys.argv[1] == "--list":
        print("\n".join(RULES))
        return 0
    rule = RULES[sys.argv[1]]
    status = 0
    for path in sys.argv[2:]:
        for line, message in rule(path):
            print(f"{path}:{line}: {message}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
