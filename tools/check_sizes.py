#!/usr/bin/env python3
"""Sizes of files and functions: prints the ten largest of each, and fails on what nobody can hold in the head.

Files: the 90th percentile should stay within 400 lines; over 800 is listed, over 1,200 fails. Functions (approximately:
by braces): over 60 lines is listed, over 160 fails.
"""

import re

from lint_lib import code_of, cpp_files, finish, line_of, parser, project_files

FILE_P90, FILE_LISTED, FILE_LIMIT = 400, 800, 1200
FUNCTION_LISTED, FUNCTION_LIMIT = 60, 160
SOURCES = {".py", ".sh", ".cmake", ".ts", ".tsx", ".js"}

SCOPE = re.compile(r"\b(?:namespace|class|struct|union|enum)\b[^()=]*$|\bextern\s*\"")
AFTER_PARAMETERS = re.compile(
    r"\)(?:\s*(?:const\b|noexcept\b(?:\([^()]*\))?|override\b|final\b|mutable\b|&{1,2}|->[^;{}()]*"
    r"|requires\b[^;{}]*))*\s*$")


def opens_function(head):
    """Whether `head`, the text since the last statement, makes the brace after it the body of a function."""
    if "(" not in head:
        return False
    if AFTER_PARAMETERS.search(head):
        return True
    # A constructor's body comes after members like a_(1) (seen above) or b_{2}, whose braces are removed from `head`.
    return bool(re.search(r"\)\s*:[^:]", head)) and head.rstrip().endswith("\x01")


def functions(text):
    """(name, first line, lines) of each function body, lambdas and local types within it included."""
    code = code_of(text, keep_strings=False)
    code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: re.sub(r"[^\n]", " ", m[0]), code, flags=re.MULTILINE)
    found, head_start, depth_in_function, start, name = [], 0, 0, 0, ""
    head = ""
    initialiser = 0
    for i, c in enumerate(code):
        if depth_in_function:
            depth_in_function += (c == "{") - (c == "}")
            if not depth_in_function:
                found.append((name, line_of(code, start), code.count("\n", start, i) + 1))
                head, head_start = "", i + 1
        elif initialiser:
            initialiser += (c == "{") - (c == "}")
            if not initialiser:
                head += "\x01"
        elif c == "{":
            if SCOPE.search(head) and not AFTER_PARAMETERS.search(head):
                head = ""
            elif opens_function(head):
                depth_in_function, start = 1, i
                before = re.search(r"([\w:~]+(?:\s*(?:==|<=>|[-+*/<>!=\[\]()]{1,2}))?)\s*\(", head)
                name = before[1] if before else "?"
                if re.fullmatch(r"TYPED_TEST\w*|TEST\w*|BENCHMARK\w*", name):
                    name = " ".join(head[before.start():].split())
            else:
                initialiser = 1
        elif c in ";}":
            head = ""
        else:
            head += c
    return found


def main():
    root = parser(__doc__).parse_args().root
    cpp = cpp_files(root)
    others = [f for f in project_files(root) if f.suffix in SOURCES or f.name in ("Makefile", "CMakeLists.txt")]
    texts = {f: (root / f).read_text(errors="replace") for f in cpp + others}
    lengths = sorted(((text.count("\n"), f) for f, text in texts.items()), reverse=True)
    bodies = sorted(((n, f"{f}:{line} {name}") for f in cpp for name, line, n in functions(texts[f])), reverse=True)

    print("The ten largest files:")
    for lines, path in lengths[:10]:
        print(f"  {lines:5d}  {path}{'  (over 800: split it)' if lines > FILE_LISTED else ''}")
    print("The ten longest functions, and all over 60 lines:")
    for i, (lines, where) in enumerate(bodies):
        if i < 10 or lines > FUNCTION_LISTED:
            print(f"  {lines:5d}  {where}")
    if lengths:
        p90 = lengths[len(lengths) // 10][0]
        print(f"90th percentile of file lengths: {p90} lines (wanted: at most {FILE_P90})")
    problems = [f"{path}:1: {lines} lines; the limit is {FILE_LIMIT}" for lines, path in lengths if lines > FILE_LIMIT]
    problems += [f"{where}: {n} lines; the limit is {FUNCTION_LIMIT}" for n, where in bodies if n > FUNCTION_LIMIT]
    finish("sizes", problems, f"{len(texts)} files, {len(bodies)} functions")


if __name__ == "__main__":
    main()
