#!/usr/bin/env python3
"""Holds every #include of src/ and include/ to docs/layers.txt.

A file belongs to the row with the longest folder that leads to it, so a subfolder may have a row of its own. It may
include its own top folder, the rooms of its row, public headers (quern/...), and, in angle brackets, libraries. A test
may also include tests/support and the rooms of a row "test <folder> <rooms>". A public header includes public headers
only. The rows must not form a circle, and a folder of src/ without a row is an error.
"""

import re

from lint_lib import code_of, cpp_files, finish, is_test, line_of, parser

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def read_table(path):
    rooms, tests, problems = {}, {}, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        if len(fields) < 3 or not (fields[0].isdigit() or fields[0] == "test"):
            problems.append(f"{path.name}:{number}: a row is: level (or the word test), folder, rooms or -")
            continue
        table = tests if fields[0] == "test" else rooms
        table[fields[1]] = set(fields[2:]) - {"-"}
    return rooms, tests, problems


def row_of(path, table):
    """The longest folder in the table that leads to src/<path>."""
    folders = path.parts[1:-1]
    for depth in range(len(folders), 0, -1):
        name = "/".join(folders[:depth])
        if name in table:
            return name
    return None


def circle(rooms):
    state = {}

    def visit(room, way):
        if state.get(room) == "done" or "*" in rooms.get(room, ()):
            return None
        if room in way:
            return way[way.index(room):] + [room]
        for other in sorted(rooms.get(room, ())):
            found = visit(other, way + [room])
            if found:
                return found
        state[room] = "done"
        return None

    for room in sorted(rooms):
        found = visit(room, [])
        if found:
            return found
    return None


def check_include(path, target, rooms, tests):
    """What is wrong with this include, or None."""
    top = target.split("/")[0]
    if top == "quern":
        return None
    if path.parts[0] == "include":
        return "a public header includes only quern/... and libraries"
    if top == "tests":
        return None if is_test(path) else "only tests include tests/"
    if "/" not in target or target.startswith("."):
        return "is not a path from src/"
    if top not in {name.split("/")[0] for name in rooms}:
        return f"{top} is no room of the table (libraries go in angle brackets)"
    if path.parts[0] != "src":
        return None
    allowed = set(rooms[row_of(path, rooms)]) | {path.parts[1]}
    if is_test(path):
        allowed |= tests.get(path.parts[1], set())
    if "*" in allowed or top in allowed:
        return None
    return f"{row_of(path, rooms)} may include only: {' '.join(sorted(allowed))}"


def main():
    root = parser(__doc__).parse_args().root
    rooms, tests, problems = read_table(root / "docs/layers.txt")
    found = circle(rooms)
    if found:
        problems.append("docs/layers.txt: a circle: " + " -> ".join(found))
    for row, allowed in list(rooms.items()) + list(tests.items()):
        for other in sorted(allowed - {"*"} - {name.split("/")[0] for name in rooms}):
            problems.append(f"docs/layers.txt: {row} may include {other}, which has no row")
    files = cpp_files(root, "src", "include", "tests", "fuzz", "examples")
    for path in files:
        if path.parts[0] == "src" and row_of(path, rooms) is None:
            problems.append(f"{path}:1: its folder has no row in docs/layers.txt")
            continue
        text = code_of((root / path).read_text())
        for match in INCLUDE.finditer(text):
            wrong = check_include(path, match[1], rooms, tests)
            if wrong:
                problems.append(f'{path}:{line_of(text, match.start())}: "{match[1]}": {wrong}')
    finish("layers", problems, f"{len(files)} files, {len(rooms)} rows")


if __name__ == "__main__":
    main()
