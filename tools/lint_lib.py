"""What the lints share: the files of the project, C++ text without its comments, documented exceptions, the verdict.

Each tools/check_*.py is a program: check_x.py [--root FOLDER] prints what is wrong, one line each, as file:line: what,
and exits 1 when there was anything. tests/lint/self_test.py shows each of them a bad example.
"""

import argparse
import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path

CPP_SUFFIXES = {".cpp", ".h", ".cc", ".hpp"}
SKIPPED_FOLDERS = re.compile(r"^(build.*|\..+|__pycache__|Testing|node_modules)$")


def parser(about):
    options = argparse.ArgumentParser(description=about)
    options.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    return options


def project_files(root):
    """Paths relative to root, sorted: what git tracks or would track; without git, all but builds and hidden folders."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (root / ".git").exists():
        try:
            listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
            return sorted(Path(name) for name in set(listed) if name and (root / name).is_file())
        except (OSError, subprocess.CalledProcessError):
            pass
    found = []
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [f for f in folders if f == ".ci" or not SKIPPED_FOLDERS.match(f)]
        found += [here / name for name in names]
    return sorted(found)


def cpp_files(root, *tops):
    return [f for f in project_files(root) if f.suffix in CPP_SUFFIXES and (not tops or f.parts[0] in tops)]


def is_test(path):
    return path.parts[0] in ("tests", "fuzz") or path.stem.endswith(("_test", "_bench"))


TOKENS = re.compile(
    r'(?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)'
    r'|(?P<raw>R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)")'
    r'|(?P<text>"(?:\\.|[^"\\\n])*")'
    r"|(?P<digits>\b[0-9][0-9a-fA-FxX.']*)"
    r"|(?P<char>'(?:\\.|[^'\\\n])*')",
    re.DOTALL,
)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_of(text, keep_strings=True):
    """The text with comments (and, if asked, the contents of strings) blanked; lines and columns stay."""

    def replace(match):
        if match["comment"] is not None:
            return blank(match[0])
        if match["digits"] is not None or keep_strings:
            return match[0]
        return '"' + blank(match[0][1:-1]) + '"'

    return TOKENS.sub(replace, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Exceptions:
    """tests/lint/allow.txt: "lint  file glob  regular expression of the allowed text  # reason"."""

    def __init__(self, root, lint):
        self.rows = []
        path = root / "tests/lint/allow.txt"
        for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
            row, _, reason = line.partition("#")
            fields = row.split()
            if not fields:
                continue
            if len(fields) != 3 or not reason.strip():
                sys.exit(f"{path}:{number}: a row is: lint, file glob, expression, # reason")
            if fields[0] == lint:
                self.rows.append((fields[1], re.compile(fields[2])))

    def allow(self, path, text):
        return any(fnmatch.fnmatch(path.as_posix(), glob) and wanted.search(text) for glob, wanted in self.rows)


def finish(name, problems, checked):
    for problem in problems:
        print(problem)
    print(f"{name}: {len(problems)} problems in {checked}")
    sys.exit(1 if problems else 0)


def missing_tool(name):
    """A lint without its tool is skipped (ctest: exit 77) on a developer's machine, and fails where CI runs."""
    print(f"{name} is not installed: tools/bootstrap.sh lint")
    sys.exit(1 if os.environ.get("CI") else 77)
