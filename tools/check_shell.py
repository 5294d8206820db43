#!/usr/bin/env python3
"""shellcheck over every shell script, found by its suffix or its first line."""

import re
import shutil
import subprocess

from lint_lib import finish, missing_tool, parser, project_files

SHELL = re.compile(rb"#!.*\b(?:ba|da)?sh\b")


def is_script(path):
    if path.suffix == ".sh":
        return True
    with path.open("rb") as file:
        return not path.suffix and SHELL.match(file.readline(200)) is not None


def main():
    root = parser(__doc__).parse_args().root
    if not shutil.which("shellcheck"):
        missing_tool("shellcheck")
    scripts = [str(f) for f in project_files(root) if is_script(root / f)]
    problems = []
    if scripts:
        result = subprocess.run(["shellcheck", "-x", "-f", "gcc", *scripts], cwd=root, capture_output=True, text=True)
        problems = result.stdout.splitlines()
        if result.returncode and not problems:
            problems = [f"shellcheck failed: {result.stderr.strip()}"]
    finish("shell", problems, f"{len(scripts)} scripts")


if __name__ == "__main__":
    main()
