#!/usr/bin/env python3
"""Float32 reference for GGUF language models, in plain numpy: slow, simple, and written only to be compared against.

Every weight is dequantized to float32 first, activations and the KV cache are never quantized, so the figures are those
of the model that the file describes, free of any engine's own rounding.

    reference.py MODEL.gguf logits  --ids 1,2,3        top-20 log-probabilities after the last token
    reference.py MODEL.gguf greedy  --ids 1,2,3 -n 16  greedy continuation, token ids
    reference.py MODEL.gguf nll     --ids-file F       mean negative log-likelihood (nats) of ids[1:] given their prefix
    reference.py MODEL.gguf check   --golden lm.json --name KEY   compares with recorded prompts, fails beyond 0.001

Architectures: llama (also mistral and smollm), qwen2, qwen3, gemma3, phi3. RoPE scaling: linear, YaRN, llama-3
(rope_freqs.weight), LongRoPE (rope_factors_*.weight), as llama.cpp computes them. Its logits for the tiny models were
compared with llama.cpp's (f32 KV cache): log-probabilities within 1e-4, 6e-3 for gemma3 where it has a table for GELU.
Where readers differ:
- attention.scale is applied where the file has it; llama.cpp knows the key for other architectures only.
- phi3's sliding window is applied to every layer when the key is there, as the model's own code does; llama.cpp warns
  and ignores it.
- LongRoPE takes the long factors when the context that the engine runs with (--ctx, else the file's) exceeds the original.

Needs numpy and gguf (both from PyPI). Prints JSON.
"""
import argparse
import json
import math
import sys

import numpy as np

NEOX = ("gemma3", "qwen2", "qwen3", "phi3")  # rotate halves; the others rotate neighbours


def load(path):
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)
    meta = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("tokenizer.")}
    weights = {t.name: dequantize(t.data, t.tensor_type).astype(np.float32).reshape(tuple(int(d) for d in reversed(t.shape)))
               for t in reader.tensors}
    return meta, weights


class Config:
    """The keys that a forward needs, with the defaults that readers agree on."""

    def __init__(self, meta, n_ctx=None):
        arch = meta["general.architecture"]
        get = lambda key, default=None: meta.get(f"{arch}.{key}", default)
        self.arch = arch
        self.n_layers = get("block_count")
        self.n_embd = get("embedding_length")
        self.n_head = get("attention.head_count")
        self.n_kv = get("attention.head_count_kv", self.n_head)
        self.eps = get("attention.layer_norm_rms_epsilon")
        self.head_dim = get("attention.key_length", self.n_embd // self.n_head)
        self.n_rot = get("rope.dimension_count", self.head_dim)
        self.scale = get("attention.scale", 1.0 / math.sqrt(self.head_dim))
        self.window = get("attention.sliding_window", 0) if arch in ("gemma3", "phi3") else 0
        self.pattern = get("attention.sliding_window_pattern", 6) if arch == "gemma3" else 0
        self.base = get("rope.freq_base", 10000.0)
        self.base_local = get("rope.freq_base_swa", 10000.0)
        self.scaling = get("rope.scaling.type", "none")
        self.factor = get("rope.scaling.factor", 1.0) if self.scaling in ("linear", "yarn") else 1.0
        self.attn_factor = get("rope.scaling.attn_factor", 1.0) * get("rope.scaling.yarn_attn_factor", 1.0)
        self.beta_fast = get("rope.scaling.yarn_beta_fast", 32.0)
        self.beta_slow = get("rope.scaling.yarn_beta_slow", 1.0)
        self.ext_factor = get("rope.scaling.yarn_ext_factor", 1.0) if self.scaling == "yarn" else 0.0
        self.original_ctx = get("rope.scaling.original_context_length", get("context_length"))
        self.n_ctx = n_ctx or get("context_length")

    def is_local(self, layer):
        """Whether the layer's attention is bounded by the window."""
        if not self.window:
            return False
        return self.pattern == 0 or layer % self.pattern != self.pattern - 1


def rms_norm(x, w, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * w


def rope_table(c, w, layer, n):
    """cos and sin [tokens, n_rot / 2] of a layer, in float64, with the attention factor multiplied in."""
    half = c.n_rot // 2
    local = c.arch == "gemma3" and c.is_local(layer)
    base = c.base_local if local else c.base
    factor = 1.0 if local else c.factor
    divisors = np.ones(half)
    for name in ("rope_freqs", "rope_factors_long" if c.n_ctx > c.original_ctx else "rope_factors_short"):
        tensor = w.get(f"{name}.weight")
        if tensor is not None and not local:
            divisors = tensor.astype(np.float64)
    extrapolated = base ** (-np.arange(half) * 2.0 / c.n_rot) / divisors
    freq, magnitude = extrapolated / factor, c.attn_factor
    if c.ext_factor != 0 and not local:
        # YaRN: wavelengths that fit often into the original context keep their frequency, long ones are interpolated,
        # those between are mixed. "YaRN: Efficient Context Window Extension", 2023, section 3.2.
        turns_at = lambda turns: c.n_rot * math.log(c.original_ctx / (turns * 2 * math.pi)) / (2 * math.log(base))
        low = max(0, math.floor(turns_at(c.beta_fast)))
        high = min(c.n_rot - 1, math.ceil(turns_at(c.beta_slow)))
        ramp = 1 - np.clip((np.arange(half) - low) / max(0.001, high - low), 0, 1)
        mix = ramp * c.ext_factor
        freq = freq * (1 - mix) + extrapolated * mix
        magnitude *= 1 + 0.1 * math.log(factor)
    angle = np.arange(n, dtype=np.float64)[:, None] * freq[None]
    return np.cos(angle) * magnitude, np.sin(angle) * magnitude


def rope(x, table, neox):
    """x: [tokens, heads, head_dim]. Rotates the first dimensions, as many as the table has."""
    cos, sin = table[0][:, None], table[1][:, None]
    half = cos.shape[-1]
    first, second = (slice(0, half), slice(half, 2 * half)) if neox else (slice(0, 2 * half, 2), slice(1, 2 * half, 2))
    a, b = x[..., first], x[..., second]
    y = x.copy()
    y[..., first], y[..., second] = a * cos - b * sin, a * sin + b * cos
    return y


def linear(w, name, x):
    y = x @ w[name + ".weight"].T
    bias = w.get(name + ".bias")
    return y if bias is None else y + bias


def attention(c, w, layer, h):
    """Causal self-attention of normalized states h: [tokens, n_embd]."""
    p, n = f"blk.{layer}.", len(h)
    if p + "attn_qkv.weight" in w:
        q, k, v = np.split(linear(w, p + "attn_qkv", h), np.cumsum([c.n_head, c.n_kv]) * c.head_dim, axis=-1)
    else:
        q, k, v = (linear(w, f"{p}attn_{t}", h) for t in "qkv")
    q, k, v = (t.reshape(n, -1, c.head_dim) for t in (q, k, v))
    if p + "attn_q_norm.weight" in w:
        q = rms_norm(q, w[p + "attn_q_norm.weight"], c.eps)
        k = rms_norm(k, w[p + "attn_k_norm.weight"], c.eps)
    table = rope_table(c, w, layer, n)
    q, k = rope(q, table, c.arch in NEOX), rope(k, table, c.arch in NEOX)
    k, v = np.repeat(k, c.n_head // c.n_kv, 1), np.repeat(v, c.n_head // c.n_kv, 1)
    s = np.einsum("qhd,khd->hqk", q, k) * np.float32(c.scale)
    distance = np.arange(n)[:, None] - np.arange(n)[None]
    hidden = (distance < 0) | (distance >= c.window if c.is_local(layer) else False)
    s = np.where(hidden[None], -np.inf, s)
    s = np.exp(s - s.max(-1, keepdims=True))
    s /= s.sum(-1, keepdims=True)
    return linear(w, p + "attn_output", np.einsum("hqk,khd->qhd", s, v).reshape(n, -1))


def feed_forward(c, w, layer, h):
    p = f"blk.{layer}."
    if p + "ffn_gate.weight" in w:
        gate, up = linear(w, p + "ffn_gate", h), linear(w, p + "ffn_up", h)
    else:
        gate, up = np.split(linear(w, p + "ffn_up", h), 2, axis=-1)
    if c.arch == "gemma3":
        gate = 0.5 * gate * (1 + np.tanh(0.7978845608028654 * (gate + 0.044715 * gate ** 3)))
    else:
        gate = gate / (1 + np.exp(-gate))
    return linear(w, p + "ffn_down", gate * up)


def forward(meta, w, ids, n_ctx=None):
    """Logits [tokens, vocab] of a whole sequence, causal."""
    c = Config(meta, n_ctx)
    x = w["token_embd.weight"][ids]
    if c.arch == "gemma3":
        x = x * np.float32(c.n_embd ** 0.5)
    for i in range(c.n_layers):
        p = f"blk.{i}."
        o = attention(c, w, i, rms_norm(x, w[p + "attn_norm.weight"], c.eps))
        if c.arch == "gemma3":
            o = rms_norm(o, w[p + "post_attention_norm.weight"], c.eps)
        x = x + o
        o = feed_forward(c, w, i, rms_norm(x, w[p + "ffn_norm.weight"], c.eps))
        if c.arch == "gemma3":
            o = rms_norm(o, w[p + "post_ffw_norm.weight"], c.eps)
        x = x + o
        x = x.astype(np.float32)
    x = rms_norm(x, w["output_norm.weight"], c.eps)
    return x @ w.get("output.weight", w["token_embd.weight"]).T


def greedy(meta, w, ids, n, n_ctx=None):
    """n greedy ids and, of each, how far its logit is above the next."""
    out, margins = [], []
    for _ in range(n):
        z = forward(meta, w, list(ids) + out, n_ctx)[-1]
        out.append(int(z.argmax()))
        second, first = np.sort(z)[-2:]
        margins.append(float(first - second))
    return out, margins


def log_softmax(z):
    z = z.astype(np.float64)
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def top(logits, k=20):
    lp = log_softmax(logits)
    order = np.argsort(-lp, kind="stable")[:k]
    return [[int(i), round(float(lp[i]), 4)] for i in order]


def check(meta, w, cases, prompts, n_greedy):
    """Compares with recorded figures; returns the report and whether all agree."""
    worst, wrong = 0.0, []
    for case in cases[:prompts]:
        lp = log_softmax(forward(meta, w, case["ids"])[-1])
        worst = max([worst] + [abs(float(lp[i]) - v) for i, v in case["top"]])
        ids, _ = greedy(meta, w, case["ids"], n_greedy)
        # Where the recorded margin is a rounding away from a tie, either token is right.
        for step, (got, want) in enumerate(zip(ids, case["greedy"])):
            if got != want:
                if case["margins"][step] > 0.01:
                    wrong.append({"prompt": case["prompt"], "step": step, "got": got, "want": want})
                break
    report = {"prompts": min(prompts, len(cases)), "worst_logprob_error": round(worst, 6), "wrong_greedy": wrong}
    return report, worst <= 1e-3 and not wrong


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("what", choices=["logits", "greedy", "nll", "check"])
    ap.add_argument("--ids")
    ap.add_argument("--ids-file")
    ap.add_argument("--golden")
    ap.add_argument("--name")
    ap.add_argument("--prompts", type=int, default=3)
    ap.add_argument("--ctx", type=int, help="the context that the engine runs with; the file's when not given")
    ap.add_argument("-n", type=int, default=16)
    a = ap.parse_args()
    meta, w = load(a.model)
    if a.what == "check":
        with open(a.golden, encoding="utf-8") as f:
            report, good = check(meta, w, json.load(f)[a.name]["prompts"], a.prompts, a.n)
        print(json.dumps(report))
        return 0 if good else 1
    ids = [int(t) for t in (a.ids or open(a.ids_file, encoding="utf-8").read()).replace(",", " ").split()]
    if a.what == "logits":
        print(json.dumps({"ids": ids, "top": top(forward(meta, w, ids, a.ctx)[-1])}))
    elif a.what == "greedy":
        print(json.dumps({"ids": ids, "greedy": greedy(meta, w, ids, a.n, a.ctx)[0]}))
    else:
        lp = log_softmax(forward(meta, w, ids, a.ctx)[:-1])
        print(json.dumps({"tokens": len(ids) - 1, "nll": float(-lp[np.arange(len(ids) - 1), ids[1:]].mean())}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
