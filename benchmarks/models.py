"""The model files: fetched by quern, requantized by llama-quantize, or synthetic; kept in the cache folder."""

import os
import pathlib
import sys

import work
from process import run, say

NAMES = {work.SMOLLM2: "smollm2:135m", work.GEMMA3: "gemma3:270m"}
TITLES = {work.SMOLLM2: "SmolLM2-135M Q4_1", work.GEMMA3: "gemma-3-270m Q4_K_M", "7b-q4_0": "7B shape Q4_0",
          "7b-q4_k": "7B shape Q4_K", **{f"{work.SMOLLM2}-{name}": f"SmolLM2-135M {name}" for name in work.FORMATS}}


def cache_folder():
    """On the disk of the user's cache: a /tmp may be memory."""
    folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "quern-peer"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Models:
    """given: {key: path} of files to take as they are, instead of what would be made or fetched for that key."""

    def __init__(self, quern, llama, synthesizer, folder, given):
        self.quern, self.llama, self.synthesizer, self.folder = quern, llama, synthesizer, folder
        self.paths = {key: pathlib.Path(path) for key, path in given.items()}
        for key, path in self.paths.items():
            if key not in TITLES:
                sys.exit(f"{key}: no such model; known are {', '.join(TITLES)}")
            if not path.is_file():
                sys.exit(f"{key}: no file {path}")

    def path(self, key):
        if key not in self.paths:
            self.paths[key] = self.find(key)
        return self.paths[key]

    def find(self, key):
        if key in NAMES:
            return pathlib.Path(run([self.quern, "pull", NAMES[key]]).strip())
        target = self.folder / f"{key}.gguf"
        if not target.is_file():
            say(f"making {target}")
            part = target.with_suffix(".part")
            if key in work.SYNTHETIC:
                run([self.synthesizer, part, work.SYNTHETIC[key]])
            else:
                self.llama.quantize(self.path(work.SMOLLM2), part, key.removeprefix(f"{work.SMOLLM2}-"))
            part.rename(target)
        return target
