#!/usr/bin/env python3
"""The public headers: each compiles alone and first, with warnings as errors; at most a dozen, at most 250 lines each."""

import subprocess

from lint_lib import finish, parser

MAX_HEADERS, MAX_LINES = 12, 250


def main():
    options = parser(__doc__)
    options.add_argument("--compiler", default="c++")
    arguments = options.parse_args()
    include = arguments.root / "include"
    headers = sorted(include.glob("quern/**/*.h"))
    problems = []
    if not headers:
        problems.append("include/quern: no headers")
    if len(headers) > MAX_HEADERS:
        problems.append(f"include/quern: {len(headers)} headers; the limit is {MAX_HEADERS}")
    for header in headers:
        name = header.relative_to(include).as_posix()
        lines = header.read_text().count("\n")
        if lines > MAX_LINES:
            problems.append(f"include/{name}:1: {lines} lines; the limit is {MAX_LINES}")
        # Twice, so that a missing guard shows.
        source = f'#include "{name}"\n#include "{name}"\n'
        command = [arguments.compiler, "-std=c++20", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fsyntax-only",
                   f"-I{include}", "-x", "c++", "-"]
        result = subprocess.run(command, input=source, capture_output=True, text=True)
        if result.returncode:
            problems.append(f"include/{name}:1: does not compile alone:\n{result.stderr.rstrip()}")
    finish("headers", problems, f"{len(headers)} public headers")


if __name__ == "__main__":
    main()
