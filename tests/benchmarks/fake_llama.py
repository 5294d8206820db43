#!/usr/bin/env python3
"""A stand-in for llama-bench, llama-batched-bench and llama-quantize, by the name it is called by: it checks that the
options are ones that these programs have, and answers in their form with made-up rates."""

import json
import pathlib
import shutil
import sys

OPTIONS = {
    "llama-bench": {"-m", "-p", "-n", "-d", "-t", "-r", "-ngl", "-o"},
    "llama-batched-bench": {"-m", "-c", "-npp", "-ntg", "-npl", "-t", "-tb", "-ngl", "--output-format"},
}


def parse(name, arguments):
    given = dict(zip(arguments[::2], arguments[1::2]))
    unknown = set(given) - OPTIONS[name]
    if unknown or len(arguments) % 2 or not pathlib.Path(given["-m"]).is_file():
        sys.exit(f"error: invalid parameter {unknown}")
    return given


def bench(given):
    rows = []
    for depth in map(int, given.get("-d", "0").split(",")):
        for n_prompt, n_gen in ((int(given["-p"]), 0), (0, int(given["-n"]))):
            if n_prompt or n_gen:
                rows.append({"n_prompt": n_prompt, "n_gen": n_gen, "n_depth": depth, "model_size": 1000,
                             "avg_ts": 100.0 + depth})
    print(json.dumps(rows))


def batched(given):
    prompt, generate = int(given["-npp"]), int(given["-ntg"])
    sequences = [int(n) for n in given["-npl"].split(",")]
    if int(given["-c"]) < max(sequences) * (prompt + generate):
        sys.exit("the context is too small")
    print("\nsome words\n")
    for n in sequences:
        print(json.dumps({"pp": prompt, "tg": generate, "pl": n, "speed_pp": 1.0, "speed_tg": 50.0 * n}))


def main():
    name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
    if name == "llama-quantize":
        flag, source, target, _ = arguments
        assert flag == "--allow-requantize"
        shutil.copy(source, target)
        return
    arguments = [a for a in arguments if a != "--no-warmup"]
    (bench if name == "llama-bench" else batched)(parse(name, arguments))


if __name__ == "__main__":
    main()
