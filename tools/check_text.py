#!/usr/bin/env python3
"""What no file of the project holds: paths of somebody's machine, host names of package registries, unfinished work,
and, in Markdown, links to files that are not there.
"""

import re

from lint_lib import Exceptions, finish, line_of, parser, project_files

# Written so that no pattern matches its own text.
RULES = {
    "machine-path": re.compile(r"(?<![\w.~}\")*])/(?:home|root|work|Users)/[\w.]"),
    "registry-host": re.compile(
        r"\b(?:pypi[.]org|pythonhosted[.]org|deb[.]debian[.]org|registry[.]npmjs[.]org|(?:static[.]|index[.])?crates[.]io)\b"),
    "unfinished": re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b"),
}

LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")


def broken_links(root, path, text):
    for match in LINK.finditer(text):
        if not (root / path.parent / match[1]).exists():
            yield f"{path}:{line_of(text, match.start())}: {match[1]} is not there [broken-link]"


def main():
    root = parser(__doc__).parse_args().root
    files = project_files(root)
    problems = []
    exceptions = {lint: Exceptions(root, lint) for lint in RULES}
    for path in files:
        data = (root / path).read_bytes()
        if b"\0" in data[:4096]:
            continue
        text = data.decode(errors="replace")
        if path.suffix == ".md":
            problems += broken_links(root, path, text)
        for lint, pattern in RULES.items():
            for match in pattern.finditer(text):
                line = text[text.rfind("\n", 0, match.start()) + 1:].split("\n", 1)[0]
                if not exceptions[lint].allow(path, line):
                    problems.append(f"{path}:{line_of(text, match.start())}: {match[0]} [{lint}]")
    finish("text", problems, f"{len(files)} files")


if __name__ == "__main__":
    main()
