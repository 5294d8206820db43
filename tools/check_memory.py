#!/usr/bin/env python3
"""The memory of `quern run` on a model: peak, and what it is made of, beside the bar weights x 1.05 + KV + 64 MB.

Usage: tools/check_memory.py PROGRAM MODEL...        exit status 1 where a peak is above its bar
Each model is run as it is loaded first (packed and written to a cache of its own, which is removed again), as it is
loaded then (mapped), and without the cache.
"""

import json
import os
import subprocess
import sys
import tempfile

CONTEXT, TOKENS = 512, 16
PAGE = 64  # positions of keys and values that become resident together


def figures(program, model, folder, *flags):
    done = subprocess.run(
        [program, "run", model, "--raw", "Once upon a time", "-n", str(TOKENS), "--ignore-eos", "--temp", "0", "--ctx",
         str(CONTEXT), "--json", *flags],
        capture_output=True, text=True, env={**os.environ, "QUERN_CACHE": folder})
    if done.returncode != 0:
        sys.exit(f"{model}: {done.stderr}")
    return json.loads(done.stdout)["stats"]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, models, above = sys.argv[1], sys.argv[2:], False
    print("| model | load | load_s | weights | KV | rest | peak | bar |\n|---|---|---|---|---|---|---|---|")
    for model in models:
        with tempfile.TemporaryDirectory(prefix="quern-memory-") as folder:
            for name, flags in (("first", ()), ("second", ()), ("no cache", ("--no-pack-cache",))):
                stats = figures(program, model, folder, *flags)
                weights, kv = stats["weight_bytes"], stats["kv_bytes_per_token"] * PAGE * -(-(stats["prompt_tokens"] + TOKENS) // PAGE)
                peak, bar = stats["peak_rss_bytes"], weights * 1.05 + kv + 64e6
                row = [f"{v / 1e6:,.0f} MB" for v in (weights, kv, peak - weights - kv, peak, bar)]
                print(f"| {os.path.basename(model)} | {name} | {stats['load_s']:.2f} | " + " | ".join(row) + " |", flush=True)
                above |= peak > bar
    sys.exit(1 if above else 0)


if __name__ == "__main__":
    main()
