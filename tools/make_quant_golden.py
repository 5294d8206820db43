#!/usr/bin/env python3
"""Writes src/quant/testdata/golden.txt: blocks of every tensor format and what the PyPI package gguf decodes from them.

A line is: format name, the block in hex, its elements as little-endian float32 in hex. Needs numpy and gguf (0.19 made
the committed file). The output depends on nothing but SEED. With --check the file is compared, not written.
"""
import argparse
import pathlib
import sys

import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

SEED = 20240917
BLOCKS = 8
FLOAT_ELEMS = 256
# Byte offsets of the half-precision scales in a block; the bytes between are random.
F16_FIELDS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}
# Smallest and largest subnormal, negative zero, largest finite, negatives: everything but infinities and NaN.
EXTREME_F16 = [0x0001, 0x03FF, 0x8000, 0x7BFF, 0x83FF, 0xFBFF]
EXTREME_E8M0 = [0, 1, 2, 120, 127, 250]
ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "src/quant/testdata/golden.txt"


def random_blocks(rng, name, block_bytes):
    blocks = rng.integers(0, 256, size=(BLOCKS, block_bytes), dtype=np.uint8)
    for i in range(BLOCKS):
        for k, offset in enumerate(F16_FIELDS[name]):
            half = np.float16(rng.normal(0, 0.05)).view(np.uint16)
            if i >= 2:
                half = np.uint16(EXTREME_F16[(i - 2 + k) % len(EXTREME_F16)])
            blocks[i, offset:offset + 2] = np.array([half]).view(np.uint8)
        if name == "MXFP4" and i >= 2:
            blocks[i, 0] = EXTREME_E8M0[i - 2]
    return blocks


def random_floats(rng, name):
    values = rng.normal(0, 1, FLOAT_ELEMS).astype(np.float32) * np.exp2(rng.integers(-24, 15, FLOAT_ELEMS))
    values[:4] = [0.0, -0.0, 2.0**-24, -65504.0]
    values = values.astype(np.float32)
    if name == "F32":
        return values.view(np.uint8)
    if name == "F16":
        return values.astype(np.float16).view(np.uint8)
    return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)


def lines():
    rng = np.random.default_rng(SEED)
    for name in ["F32", "F16", "BF16", *F16_FIELDS]:
        kind = GGMLQuantizationType[name]
        if name in F16_FIELDS:
            blocks = random_blocks(rng, name, GGML_QUANT_SIZES[kind][1])
        else:
            blocks = random_floats(rng, name).reshape(1, -1)
        for block in blocks:
            values = quants.dequantize(block.reshape(1, -1), kind).astype("<f4")
            yield f"{name.lower()} {block.tobytes().hex()} {values.tobytes().hex()}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the committed file differs")
    args = parser.parse_args()
    text = "".join(lines())
    if not args.check:
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_text(text)
    elif OUTPUT.read_text() != text:
        sys.exit(f"{OUTPUT.relative_to(ROOT)} is not what this gguf package decodes")


if __name__ == "__main__":
    main()
