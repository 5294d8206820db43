#!/usr/bin/env python3
"""Instructions of the ARM kernels beside the reference's, a multiply-add: a Markdown table.

No ARM machine is needed, and none is claimed: qemu executes one instruction at a time and logs each, the difference
between two calls and one is a call. Instructions are no times; the speed of a processor is its own. `make neon` builds the
program (tests/instructions) and installs qemu.

  benchmarks/arm_instructions.py [--program build-neon/tests/instructions/instruction_work] [--formats q4_0,f16]
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QEMU = ["qemu-aarch64-static", "-cpu", "max"]
ISAS = ("ref", "neon", "neon_i8mm")


def executed(program, name, calls):
    """Instructions that the program executes in all."""
    command = [*QEMU, "-singlestep", "-d", "nochain,exec", "-D", "/dev/stdout", program, name, str(calls)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        count, tail = 0, b""
        while chunk := process.stdout.read(1 << 22):
            chunk = tail + chunk
            count += chunk.count(b"\nTrace ")
            tail = chunk[-6:]  # shorter than what is looked for
    if process.returncode:
        sys.exit(f"{name}: the program failed ({process.returncode})")
    return count


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--program", default=ROOT / "build-neon/tests/instructions/instruction_work", type=Path)
    options.add_argument("--formats", default="q4_0,q8_0,q4_k,f16")
    arguments = options.parse_args()
    if not arguments.program.exists():
        sys.exit(f"{arguments.program} is not there: make neon")
    listed = subprocess.run([*QEMU, arguments.program, "--list"], capture_output=True, text=True, check=True).stdout
    units = {name: float(count) for count, name in (line.split("\t") for line in listed.splitlines())}
    print("| format | tokens |" + "".join(f" {isa} |" for isa in ISAS) + " ref / best |")
    print("|---|---|" + "---|" * (len(ISAS) + 1))
    for name in arguments.formats.split(","):
        for tokens in (1, 16):
            row = []
            for isa in ISAS:
                # The reference does the same for each token: counted for one, as qemu takes a second for 400,000.
                work = f"{isa} matmul {name} tokens {1 if isa == 'ref' else tokens}"
                if work not in units:
                    sys.exit(f"{work}: the program does not know it")
                calls = executed(arguments.program, work, 2) - executed(arguments.program, work, 1)
                row.append(calls / units[work])
            figures = "".join(f" {per_mac:.3g} |" for per_mac in row)
            print(f"| {name} | {tokens} |{figures} {row[0] / min(row[1:]):.0f} |", flush=True)


if __name__ == "__main__":
    main()
