"""The weights of the tiny random models of tiny_models.json, bit for bit as tests/support/tiny_model.cpp makes them."""
import json
import os

import numpy as np

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiny_models.json")


def fnv1a(text):
    h = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def splitmix64(seed, n):
    """The first n outputs of SplitMix64."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(seed, n):
    """In [-1, 1), exact in float32."""
    return (splitmix64(seed, n) >> np.uint64(40)).astype(np.float32) * np.float32(2.0 ** -23) - np.float32(1)


def models():
    with open(TABLE, encoding="utf-8") as f:
        return json.load(f)["models"]


def metadata(model):
    """The keys as a GGUF file holds them: floats rounded to float32."""
    keys = {k: float(np.float32(v)) if isinstance(v, float) else v for k, v in model["keys"].items()}
    return {"general.architecture": model["arch"], **keys}


def tensor_list(model):
    """(name, shape, offset, scale) of every tensor, blocks expanded."""
    n_blocks = model["keys"][model["arch"] + ".block_count"]
    for name, shape, offset, scale in model["tensors"]:
        for i in range(n_blocks if "{i}" in name else 1):
            yield name.replace("{i}", str(i)), shape, offset, scale


def weights(model):
    w = {}
    for name, shape, offset, scale in tensor_list(model):
        u = uniform(fnv1a(f"{model['name']}/{name}"), int(np.prod(shape)))
        w[name] = (np.float32(offset) + np.float32(scale) * u).reshape(shape)
    return w
