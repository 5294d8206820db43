#!/usr/bin/env python3
"""ISA files are sealed: their objects hold no code that the rest of the program could be linked to, and run nothing at
start.

An inline function compiled in such a file becomes a weak symbol with that ISA's instructions, which the linker may
choose for the whole program; a static initialiser runs before any check of the processor.
Usage: check_sealed.py --build FOLDER [--prefix aarch64-linux-gnu-] ISA...
"""

import re
import subprocess
from pathlib import Path

from lint_lib import finish, parser

RUNS_AT_START = re.compile(r"\s\.(?:init_array|preinit_array|ctors)\b\S*")


def output_of(*command):
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def faults(path, prefix):
    for line in output_of(prefix + "nm", "-C", str(path)).splitlines():
        match = re.match(r"\s*[0-9a-fA-F]*\s+([WVu])\s+(.*)", line)
        if match:
            kind = "unique" if match[1] == "u" else "weak"
            yield f"{kind} symbol {match[2]}: give it internal linkage (anonymous namespace)"
    match = RUNS_AT_START.search(output_of(prefix + "objdump", "-h", str(path)))
    if match:
        yield f"section {match[0].strip()}: an initialiser runs before the processor is checked; make it constexpr"


def main():
    options = parser(__doc__)
    options.add_argument("--build", type=Path, required=True)
    options.add_argument("--prefix", default="", help="of nm and objdump, for objects of another processor")
    options.add_argument("isas", nargs="*")
    arguments = options.parse_args()
    problems, checked = [], 0
    for isa in arguments.isas:
        sources = [f for f in (arguments.root / "src/kernels" / isa).glob("*.cpp") if not f.stem.endswith("_test")]
        for source in sources:
            # The target of the object does not matter. Those of tests/simde hold plain C, and are not in the library.
            objects = [
                path
                for path in arguments.build.glob(f"**/src/kernels/{isa}/{source.name}.o")
                if "tests" not in path.relative_to(arguments.build).parts
            ]
            if not objects:
                problems.append(f"src/kernels/{isa}/{source.name}: has no object under {arguments.build.name}")
            for path in objects:
                checked += 1
                problems += [f"src/kernels/{isa}/{source.name}: {fault}" for fault in faults(path, arguments.prefix)]
    finish("sealed", problems, f"{checked} objects of {' '.join(arguments.isas) or 'no ISA'}")


if __name__ == "__main__":
    main()
