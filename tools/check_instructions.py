#!/usr/bin/env python3
"""Instruction counts of the hot paths beside the recorded ones, so that a slow-down is seen on any machine.

Runs tests/instructions' program under callgrind, which counts the instructions of each call (valgrind 3.19 knows AVX2 and
the reference, not AVX-512), and compares counts per unit of work with tests/data/instructions.json. More than 5 % above is
an error; more than 5 % below is a hint to record the new count, by --record. Counts belong to a compiler and its flags:
another compiler is skipped (exit 77).

  tools/check_instructions.py --program build-test/tests/instructions/instruction_work \\
      --compiler "GNU 12 x86_64" --flags="-O3 -DNDEBUG" [--record]
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RECORD = Path(__file__).resolve().parent.parent / "tests/data/instructions.json"
TOLERANCE = 0.05
FUNCTION = "quern_counted_work"


def total_of(dump):
    """The instructions of one of callgrind's files."""
    match = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
    if not match:
        sys.exit(f"{dump}: callgrind wrote no total")
    return int(match[1])


def measure(program):
    """Instructions per unit of each piece of work, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--toggle-collect={FUNCTION}", f"--dump-after={FUNCTION}",
                   f"--callgrind-out-file={folder}/out", "--compress-strings=no", str(program), "--all"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{program} failed under callgrind ({done.returncode}):\n{done.stderr[-2000:]}")
        counts = {}
        for number, line in enumerate(done.stdout.splitlines(), 1):
            units, name = line.split("\t")
            counts[name] = float(f"{total_of(Path(folder) / f'out.{number}') / float(units):.5g}")
        return counts


def compare(counts, recorded):
    """(problems, remarks), a sentence each."""
    problems, remarks = [], []
    for name, old in recorded.items():
        if name not in counts:
            problems.append(f"{name}: recorded, but not run")
            continue
        change = counts[name] / old - 1
        if change > TOLERANCE:
            problems.append(f"{name}: {counts[name]:g} instructions a unit, recorded {old:g}: {100 * change:+.1f} %")
        elif change < -TOLERANCE:
            remarks.append(f"{name}: {counts[name]:g} instructions a unit, recorded {old:g}: {100 * change:+.1f} %; "
                           "--record keeps the gain")
    problems += [f"{name}: not recorded, run --record" for name in counts if name not in recorded]
    return problems, remarks


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--program", type=Path, required=True)
    options.add_argument("--compiler", required=True)
    options.add_argument("--flags", required=True)
    options.add_argument("--file", type=Path, default=RECORD)
    options.add_argument("--record", action="store_true", help="write the file instead of comparing with it")
    arguments = options.parse_args()
    built = {"compiler": arguments.compiler, "flags": arguments.flags}
    recorded = json.loads(arguments.file.read_text()) if arguments.file.exists() else {}
    if not arguments.record and {key: recorded.get(key) for key in built} != built:
        print(f"instructions: recorded for {recorded.get('compiler')} {recorded.get('flags')}, this build is "
              f"{arguments.compiler} {arguments.flags}: not compared")
        sys.exit(77)
    if not shutil.which("valgrind"):
        print("valgrind is not installed: tools/bootstrap.sh test")
        sys.exit(1 if os.environ.get("CI") else 77)
    counts = measure(arguments.program)
    if not any(name.startswith("avx2 ") for name in counts):
        # The C library then emulates fma, so that the counts of the reference are others too.
        print("instructions: this processor has no AVX2: not compared")
        sys.exit(77)
    if arguments.record:
        arguments.file.write_text(json.dumps({**built, "instructions_per_unit": counts}, indent=1) + "\n")
        print(f"instructions: {len(counts)} counts recorded in {arguments.file}")
        return
    problems, remarks = compare(counts, recorded["instructions_per_unit"])
    for line in remarks + problems:
        print(line)
    print(f"instructions: {len(problems)} problems in {len(counts)} counts")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
