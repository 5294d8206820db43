"""benchmarks/: parsing, rows and tables, and a quick run. argv: the program, write_tiny_model."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

WRITE_TINY = os.path.abspath(sys.argv.pop(2))
QUERN = os.path.abspath(sys.argv.pop(1))
HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE.parents[1] / "benchmarks"
sys.path.insert(0, str(SCRIPTS))
sys.dont_write_bytecode = True

import ours  # noqa: E402
import peer  # noqa: E402
import plot  # noqa: E402
import process  # noqa: E402
import report  # noqa: E402
import work  # noqa: E402


def recorded(name):
    return (HERE / "data" / name).read_text()


def sample(engine, rate, turn=0, **more):
    figure = {"group": "smollm2", "model": "smollm2", "threads": 2, "what": "generate", "tokens": 128, "depth": 0,
              "sequences": 1, "engine": engine, "round": turn, "rate": rate}
    if engine == "quern":
        figure.update({"limit": 400.0, "read_bytes_per_s": 4e10})
    return {**figure, **more}


class Parsing(unittest.TestCase):
    def test_llama_bench(self):
        figures = peer.parse_bench(recorded("llama_bench.json"))
        self.assertEqual([(f["what"], f["tokens"], f["depth"], f["sequences"]) for f in figures],
                         [("prompt", 32, 0, 1), ("generate", 4, 0, 1), ("prompt", 32, 64, 1), ("generate", 4, 64, 1)])
        self.assertEqual(figures[2]["rate"], 41.638793)

    def test_llama_batched_bench(self):
        figures = peer.parse_batched(recorded("llama_batched_bench.txt"))
        self.assertEqual([(f["what"], f["tokens"], f["depth"], f["sequences"], f["rate"]) for f in figures],
                         [("generate", 8, 16, 1, 1.401908), ("generate", 8, 16, 2, 67.947762),
                          ("generate", 8, 16, 4, 83.819443)])

    def test_quern_bench(self):
        row = {"n_prompt": 0, "n_gen": 64, "depth": 16, "batch": 8, "threads": 2, "tokens_per_second": 900.0, "stddev": 0,
               "limit_tps": 2000.0, "limit_share": 0.45, "read_bytes_per_s": 4e10, "int_macs_per_s": 4e11}
        self.assertEqual(ours.parse_bench(json.dumps({"results": [row]})),
                         [{"what": "generate", "tokens": 64, "depth": 16, "sequences": 8, "rate": 900.0,
                           "limit": 2000.0, "read_bytes_per_s": 4e10}])

    def test_memory_of_a_process(self):
        status = "Name:\tx\nVmHWM:\t   300 kB\nVmRSS:\t  200 kB\nRssAnon:\t 100 kB\nRssFile:\t  90 kB\nRssShmem:\t  10 kB\n"
        self.assertEqual(process.parse_status(status), (300 << 10, 100 << 10, 100 << 10))
        self.assertEqual(process.parse_status("State:\tZ (zombie)\n"), (0, 0, 0))

    def test_a_process_is_watched(self):
        done = process.run_watched([sys.executable, "-c", "import time; x = b'1' * (64 << 20); time.sleep(.4); print(9)"])
        self.assertEqual(done.out, "9\n")
        self.assertGreater(done.memory.peak, 64 << 20)
        self.assertGreater(done.memory.anonymous, 64 << 20)
        self.assertGreater(done.seconds, 0.4)
        with self.assertRaisesRegex(SystemExit, "failed .3.:\nwhy"):
            process.run_watched([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"])


class Rows(unittest.TestCase):
    def test_medians_spread_and_share_of_the_same_round(self):
        samples = [sample("quern", 200.0), sample("quern", 300.0, 1, limit=500.0), sample("quern", 220.0, 2),
                   sample("llama.cpp", 100.0), sample("llama.cpp", 120.0, 1), sample("llama.cpp", 110.0, 2)]
        row, = report.speed_rows(samples)
        self.assertEqual(row["quern"], {"median": 220.0, "min": 200.0, "max": 300.0})
        self.assertEqual(row["ratio"], 2.0)
        self.assertEqual(row["limit_share"], {"median": 0.55, "min": 0.5, "max": 0.6})

    def test_a_row_needs_both(self):
        self.assertEqual(report.speed_rows([sample("quern", 200.0), sample("llama.cpp", 1.0, depth=9)]), [])

    def test_tables(self):
        samples = [sample("quern", 1234.0, group="batch", depth=16, sequences=n) for n in (1, 2)]
        samples += [sample("llama.cpp", 100.0, group="batch", depth=16, sequences=n) for n in (1, 2)]
        samples[1]["rate"] = 1851.0
        table = report.batch_table(report.speed_rows(samples)).splitlines()
        self.assertEqual(len({line.count("|") for line in table}), 1)
        self.assertEqual(table[-1], "| 2 | 1851 | 100.0 | 18.51 | 463 % | 40 | 1.50 |")

    def test_part_of_a_document(self):
        page = f"a\n{report.BEGIN}\nold\n{report.END}\nb\n"
        self.assertEqual(report.replace_part(page, "new\n"), f"a\n{report.BEGIN}\n\nnew\n\n{report.END}\nb\n")
        self.assertEqual(report.replace_part(report.replace_part(page, "x\n"), "new\n"), report.replace_part(page, "new\n"))
        with self.assertRaises(ValueError):
            report.replace_part("a\nb\n", "new\n")
        report.replace_part((SCRIPTS.parent / "docs" / "performance.md").read_text(), "")

    def test_curves(self):
        samples = [sample(engine, rate, group="depth", depth=depth)
                   for engine, rate in (("quern", 200.0), ("llama.cpp", 50.0)) for depth in (1024, 0)]
        found = plot.curves(report.speed_rows(samples), "depth", "generate", "depth")
        self.assertEqual(found["llama.cpp"], [(0, 50.0, 50.0, 50.0), (1024, 50.0, 50.0, 50.0)])
        self.assertEqual(found["limit"][0], (0, 400.0, 400.0, 400.0))
        self.assertEqual(plot.curves([], "depth", "generate", "depth"), {})


class QuickRun(unittest.TestCase):
    """Of quern with a tiny model and the stand-in."""

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="quern-benchmarks-")
        self.addCleanup(shutil.rmtree, folder)
        self.folder = pathlib.Path(folder)
        self.model = self.folder / "tiny.gguf"
        subprocess.run([WRITE_TINY, "llama", str(self.model)], check=True)
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("llama-bench", "llama-batched-bench", "llama-quantize"):
            (programs / name).symlink_to(HERE / "fake_llama.py")
        self.command = [sys.executable, "-B", SCRIPTS / "compare_llama.py", "--quern", QUERN, "--llama", programs, "--cache",
                        self.folder / "cache"]
        self.environment = {**os.environ, "XDG_CACHE_HOME": folder, "QUERN_CACHE": folder, "QUERN_CONFIG": folder}

    def run_script(self, *more):
        return subprocess.run([*map(str, self.command), *map(str, more)], capture_output=True, text=True, timeout=250,
                              env=self.environment)

    def test_every_kind_of_job(self):
        given = [part for key in ("smollm2", "7b-q4_0", "7b-q4_k") for part in ("--model", f"{key}={self.model}")]
        out = self.folder / "result.json"
        done = self.run_script("--quick", "--rounds", 1, "--threads", "1", "--only", "formats,depth,batch,load,memory",
                               "--json", out, *given)
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(out.read_text())
        self.assertEqual({row["group"] for row in result["speed"]}, {"formats", "depth", "batch"})
        self.assertEqual(len([row for row in result["speed"] if row["group"] == "formats"]), 2 * len(work.FORMATS))
        for row in result["speed"]:
            self.assertGreater(row["quern"]["median"], 0)
            self.assertGreater(row["limit_share"]["median"], 0)
        self.assertEqual({(s["engine"], s["turn"]) for s in result["load"]},
                         {("quern", "first"), ("quern", "second"), ("llama.cpp", "second")})
        self.assertEqual(result["rounds"], 1)
        self.assertIn("### Memory", done.stdout)
        widths = [line.count("|") for line in done.stdout.splitlines() if line.startswith("|---")]
        self.assertEqual(len(widths), 5)

    def test_refusals(self):
        for more, says in ((("--only", "nonsense"), "nonsense"), (("--model", "x=/dev/null"), "no such model"),
                           (("--model", "smollm2"), "NAME=FILE"), (("--model", "smollm2=absent"), "no file absent"),
                           (("--threads", "0"), "threads")):
            done = self.run_script(*more)
            self.assertNotEqual(done.returncode, 0, more)
            self.assertIn(says, done.stderr)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
