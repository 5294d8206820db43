#!/usr/bin/env python3
"""Keeps one place to change: a tensor format is named only where formats live, an architecture only where those live.

Looks at code and strings, not at comments or tests. Exceptions stand, with their reasons, in tests/lint/allow.txt.
"""

import re

from lint_lib import Exceptions, code_of, cpp_files, finish, is_test, line_of, parser, project_files

RULES = {
    "format-name": (
        re.compile(r"(?<![A-Za-z0-9])k?(?:I?Q[1-8]_(?:[01K]|NL|XXS|XS|[SM])(?:_[SML])?|MXFP4)(?![A-Za-z0-9])", re.I),
        ("src/quant/", "src/kernels/", "src/quantize/"),
        "names a tensor format: ask the catalogue of src/quant instead",
    ),
    "arch-name": (
        re.compile(r"(?:(?<!o)llama|mi[sx]tral|qwen|gemma|phi-?[1-9]|falcon|starcoder|mamba|deepseek|command-?r\b)", re.I),
        ("src/model/arch/",),
        "names an architecture: its file in src/model/arch is the only place for that",
    ),
}


def main():
    root = parser(__doc__).parse_args().root
    files = cpp_files(root, "src", "include") + [f for f in project_files(root) if f.suffix == ".def"]
    files = [f for f in files if not is_test(f)]
    problems = []
    for lint, (pattern, homes, complaint) in RULES.items():
        exceptions = Exceptions(root, lint)
        for path in files:
            if path.as_posix().startswith(homes):
                continue
            text = code_of((root / path).read_text())
            for match in pattern.finditer(text):
                line = text[text.rfind("\n", 0, match.start()) + 1:].split("\n", 1)[0]
                if not exceptions.allow(path, line):
                    problems.append(f"{path}:{line_of(text, match.start())}: {match[0]}: {complaint} [{lint}]")
    finish("names", problems, f"{len(files)} files")


if __name__ == "__main__":
    main()
