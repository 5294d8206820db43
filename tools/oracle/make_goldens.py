#!/usr/bin/env python3
"""Writes tests/data/tiny/<model>.json for every model of tiny_models.json, by the float32 reference.

    make_goldens.py            writes the files
    make_goldens.py --check    computes them again and fails where a file differs by more than rounding

A file holds the 40 prompt ids, the logits of the whole vocabulary after some positions (6 digits), and the greedy
continuation with the margin of each token over the next. Needs numpy.
"""
import argparse
import json
import os
import sys

import numpy as np

import reference
import tiny_weights

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "data", "tiny")
N_IDS, POSITIONS, N_GREEDY = 40, (0, 11, 26, 39), 12


def golden(model):
    meta, w = tiny_weights.metadata(model), tiny_weights.weights(model)
    raw = tiny_weights.splitmix64(tiny_weights.fnv1a(model["name"] + "/ids"), N_IDS)
    ids = [int(x % np.uint64(model["vocab"])) for x in raw]
    logits = reference.forward(meta, w, ids)
    out, margins = reference.greedy(meta, w, ids, N_GREEDY)
    digits = lambda x: float(f"{float(x):.6g}")
    return {"model": model["name"], "ids": ids, "logits": {str(p): [digits(x) for x in logits[p]] for p in POSITIONS},
            "greedy": out, "margins": [digits(m) for m in margins]}


def differs(a, b):
    if a["ids"] != b["ids"] or a["greedy"] != b["greedy"]:
        return True
    return any(not np.allclose(a["logits"][p], b["logits"][p], rtol=1e-4, atol=1e-4) for p in b["logits"])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--check", action="store_true")
    check = ap.parse_args().check
    bad = []
    for model in tiny_weights.models():
        path = os.path.join(OUT, model["name"] + ".json")
        made = golden(model)
        if not check:
            os.makedirs(OUT, exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                json.dump(made, f, separators=(",", ":"))
                f.write("\n")
        else:
            with open(path, encoding="utf-8") as f:
                if differs(json.load(f), made):
                    bad.append(model["name"])
        spread = float(np.std(made["logits"]["39"]))
        print(f"{model['name']:20} logits' spread {spread:.2f}, greedy {made['greedy']}, least margin {min(made['margins'])}")
    if bad:
        print("differ from the committed goldens:", ", ".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
