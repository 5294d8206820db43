"""What is measured: a table of groups, each a list of jobs. A job is one run of each program and gives several figures."""

import dataclasses

SMOLLM2, GEMMA3 = "smollm2", "gemma3"
FORMATS = ("Q4_0", "Q8_0", "Q4_K_M", "F16")  # as llama-quantize calls them
SYNTHETIC = {"7b-q4_0": "q4_0", "7b-q4_k": "q4_k"}  # the formats as write_synthetic_model calls them


@dataclasses.dataclass(frozen=True)
class Speed:
    """Rates of prompts and of generating at each depth; with `sequences` of generating that many side by side."""
    group: str
    model: str
    threads: int
    prompt: int = 512
    generate: int = 128
    depths: tuple = (0,)
    sequences: tuple = ()  # then depths has one entry, which is the length of their prompts


@dataclasses.dataclass(frozen=True)
class Load:
    """From the start of the process to the first token; quern with an empty cache folder and with that of before."""
    group: str
    model: str
    threads: int


@dataclasses.dataclass(frozen=True)
class Memory:
    """The most memory that a process holds while it reads a prompt, in a context just large enough."""
    group: str
    model: str
    threads: int
    prompt: int


@dataclasses.dataclass(frozen=True)
class Sizes:
    prompt: int = 512
    generate: int = 128
    depth_generate: int = 32
    depths: tuple = (0, 1024, 2048, 4096, 7168)  # SmolLM2's context of 8192 holds the last one and a prompt
    sequences: tuple = (1, 2, 4, 8, 16, 32)
    sequence_prompt: int = 16
    sequence_generate: int = 64
    large_prompt: int = 64  # of the 7B shape
    large_generate: int = 16


QUICK = Sizes(prompt=8, generate=2, depth_generate=2, depths=(0, 16), sequences=(1, 2), sequence_prompt=4,
              sequence_generate=2, large_prompt=4, large_generate=2)


def speed_groups(threads, sizes):
    most = max(threads)
    small = {"prompt": sizes.prompt, "generate": sizes.generate}
    large = {"prompt": sizes.large_prompt, "generate": sizes.large_generate}
    return {
        "smollm2": [Speed("smollm2", SMOLLM2, n, **small) for n in threads],
        "formats": [Speed("formats", f"{SMOLLM2}-{name}", most, **small) for name in FORMATS],
        "gemma3": [Speed("gemma3", GEMMA3, n, **small) for n in threads],
        "depth": [Speed("depth", SMOLLM2, most, prompt=sizes.prompt, generate=sizes.depth_generate, depths=(depth,))
                  for depth in sizes.depths],
        "batch": [Speed("batch", SMOLLM2, most, prompt=0, generate=sizes.sequence_generate,
                        depths=(sizes.sequence_prompt,), sequences=sizes.sequences)],
        "7b": [Speed("7b", model, most, **large) for model in SYNTHETIC],
    }


def groups(threads, sizes=Sizes()):
    """{name: jobs}, in the order of the report."""
    most = max(threads)
    prompts = {SMOLLM2: sizes.prompt, **{model: sizes.large_prompt for model in SYNTHETIC}}
    return {
        **speed_groups(threads, sizes),
        "load": [Load("load", model, most) for model in prompts],
        "memory": [Memory("memory", model, most, prompt) for model, prompt in prompts.items()],
    }
