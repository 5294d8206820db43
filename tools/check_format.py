#!/usr/bin/env python3
"""The layout of all C++ is clang-format 19's (another major formats otherwise). --fix rewrites the files."""

import shutil
import subprocess

from lint_lib import cpp_files, finish, missing_tool, parser

TOOL = "clang-format-19"


def main():
    options = parser(__doc__)
    options.add_argument("--fix", action="store_true")
    arguments = options.parse_args()
    if not shutil.which(TOOL):
        missing_tool(TOOL)
    files = [str(f) for f in cpp_files(arguments.root)]
    mode = ["-i"] if arguments.fix else ["--dry-run", "-Werror"]
    problems = []
    for begin in range(0, len(files), 50):
        result = subprocess.run([TOOL, *mode, *files[begin:begin + 50]], cwd=arguments.root, capture_output=True, text=True)
        lines = [line for line in result.stderr.splitlines() if "error:" in line]
        problems += lines or ([f"{TOOL} failed: {result.stderr.strip()}"] if result.returncode else [])
    finish("format", problems, f"{len(files)} files (make format mends them)")


if __name__ == "__main__":
    main()
