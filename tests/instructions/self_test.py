#!/usr/bin/env python3
"""check_instructions.py must refuse what grew. A stand-in for valgrind writes the counts that a test wants."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools/check_instructions.py"
BUILT = {"compiler": "GNU 12 x86_64", "flags": "-O3"}

# Writes a dump for each line that "the program" prints, as callgrind does: instructions, units, name.
VALGRIND = """#!/usr/bin/env python3
import sys
out = next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--callgrind-out-file="))
program = next(a for a in sys.argv[1:] if not a.startswith("--"))
for number, line in enumerate(open(program), 1):
    instructions, units, name = line.rstrip("\\n").split("\\t")
    open(f"{out}.{number}", "w").write(f"version: 1\\nevents: Ir\\nsummary: {instructions}\\n\\ntotals: {instructions}\\n")
    print(f"{units}\\t{name}")
"""


class CheckInstructions(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "valgrind").write_text(VALGRIND)
        (self.folder / "valgrind").chmod(0o755)
        self.record({"avx2 dot": 2.0, "ref dot": 40.0})

    def record(self, counts):
        (self.folder / "record.json").write_text(json.dumps({**BUILT, "instructions_per_unit": counts}))

    def run_tool(self, counts, *more, compiler=BUILT["compiler"]):
        """counts: name -> (instructions, units)."""
        lines = [f"{instructions}\t{units}\t{name}\n" for name, (instructions, units) in counts.items()]
        (self.folder / "program").write_text("".join(lines))
        command = [sys.executable, TOOL, "--program", self.folder / "program", "--file", self.folder / "record.json",
                   "--compiler", compiler, "--flags=-O3", *more]
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})

    def test_the_same_counts_pass(self):
        self.assertEqual(self.run_tool({"avx2 dot": (200, 100), "ref dot": (4000, 100)}).returncode, 0)

    def test_five_per_cent_are_allowed_and_six_are_not(self):
        self.assertEqual(self.run_tool({"avx2 dot": (209, 100), "ref dot": (4000, 100)}).returncode, 0)
        result = self.run_tool({"avx2 dot": (212, 100), "ref dot": (4000, 100)})
        self.assertEqual(result.returncode, 1)
        self.assertIn("avx2 dot: 2.12 instructions a unit, recorded 2: +6.0 %", result.stdout)
        self.assertNotIn("ref dot", result.stdout)

    def test_a_gain_is_a_remark(self):
        result = self.run_tool({"avx2 dot": (100, 100), "ref dot": (4000, 100)})
        self.assertEqual(result.returncode, 0)
        self.assertIn("-50.0 %", result.stdout)

    def test_missing_and_unknown_work_is_refused(self):
        result = self.run_tool({"avx2 dot": (200, 100), "avx2 new": (1, 1)})
        self.assertEqual(result.returncode, 1)
        self.assertIn("ref dot: recorded, but not run", result.stdout)
        self.assertIn("avx2 new: not recorded", result.stdout)

    def test_another_compiler_or_processor_is_skipped(self):
        self.assertEqual(self.run_tool({"avx2 dot": (900, 100)}, compiler="Clang 19 x86_64").returncode, 77)
        self.assertEqual(self.run_tool({"ref dot": (9000, 100)}).returncode, 77)

    def test_what_is_recorded_passes_afterwards(self):
        counts = {"avx2 dot": (900, 100), "ref dot": (7, 100)}
        self.assertEqual(self.run_tool(counts, "--record").returncode, 0)
        self.assertEqual(self.run_tool(counts).returncode, 0)


if __name__ == "__main__":
    unittest.main()
