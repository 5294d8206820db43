"""quern, run as a program."""

import json
import os
import tempfile

from models import cache_folder
from process import run, run_watched


def parse_bench(text):
    """The figures of `quern bench --json`: a list, one for each row."""
    return [{"what": "prompt" if row["n_prompt"] else "generate", "tokens": row["n_prompt"] or row["n_gen"],
             "depth": row["depth"], "sequences": row["batch"], "rate": row["tokens_per_second"],
             "limit": row["limit_tps"], "read_bytes_per_s": row["read_bytes_per_s"]}
            for row in json.loads(text)["results"]]


def context_of(length):
    """Positions for a prompt and a token, rounded up as llama-bench does it."""
    return (length + 1 + 255) // 256 * 256


class Quern:
    name = "quern"

    def __init__(self, program, flags=()):
        self.program = program
        self.flags = list(flags)  # for `quern bench`
        self.machine = None

    def speed(self, job, path):
        command = [self.program, "bench", path, "-p", job.prompt, "-n", job.generate, "-d",
                   ",".join(map(str, job.depths)), "-t", job.threads, "-r", 1, "--json", *self.flags]
        if job.sequences:
            command += ["-b", ",".join(map(str, job.sequences))]
        out = run(command)
        self.machine = json.loads(out)["machine"]
        return parse_bench(out)

    def describe(self, path):
        """The machine and the build, as `quern bench` says them."""
        if self.machine is None:
            self.machine = json.loads(run([self.program, "bench", path, "-p", 0, "-n", 1, "-r", 1, "--allow-debug",
                                           "--json"]))["machine"]
        return self.machine

    def load(self, job, path):
        """The first time with an empty cache folder, the second with what the first left there."""
        with tempfile.TemporaryDirectory(prefix="quern-load-", dir=cache_folder()) as cache:
            return {"first": self.one_token(job, path, cache), "second": self.one_token(job, path, cache)}

    def memory(self, job, path):
        """Of a run that finds its packed weights, if this version keeps any."""
        self.run_prompt(job, path, job.prompt)
        done = self.run_prompt(job, path, job.prompt)
        stats = json.loads(done.out)["stats"]
        return {"peak": done.memory.peak, "anonymous": done.memory.anonymous, "file": done.memory.file,
                "weights": stats["weight_bytes"], "kv": stats["kv_bytes_per_token"] * context_of(job.prompt)}

    def one_token(self, job, path, cache):
        done = self.run_prompt(job, path, 1, {**os.environ, "QUERN_CACHE": cache})
        stats = json.loads(done.out)["stats"]
        return {"process_s": done.seconds, "load_s": stats["load_s"], "first_token_s": stats["ttft_s"]}

    def run_prompt(self, job, path, length, environment=None):
        ids = ",".join(str(1 + i % 200) for i in range(length))
        return run_watched([self.program, "run", path, "--prompt-ids", ids, "-n", 1, "--ctx", context_of(length),
                            "--threads", job.threads, "--ignore-eos", "--json"], environment)
