"""What is asked of a server, and the figures of its answers. Each scenario is bounded in requests or in time."""

import asyncio
import itertools
import random
import statistics
import time

from client import stream

TOPICS = ("a lighthouse", "the history of bread", "two friends in a small boat", "how rivers shape valleys", "a clock maker",
          "learning to swim", "the first snow of a year", "a market in the morning", "an old map", "bees and their work",
          "a train that is late", "the night sky", "a garden in spring", "repairing a bicycle", "a letter that was lost",
          "the colours of autumn")


asked = itertools.count(random.SystemRandom().randrange(10**6))


def ask(i, max_tokens):
    """A short prompt that no server has seen, greedy so that both do the same work."""
    text = f"{next(asked)}: write a long story about {TOPICS[i % len(TOPICS)]}."
    return {"messages": [{"role": "user", "content": text}], "max_tokens": max_tokens, "temperature": 0}


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(p * len(ordered)))] if ordered else float("nan")


def summary(answers, seconds):
    good = [a for a in answers if not a.error]
    errors = [a.error for a in answers if a.error]
    gaps = [gap for a in good for gap in a.gaps]
    return {"requests": len(answers), "errors": len(errors), "first_error": errors[0] if errors else "",
            "tokens_per_s": sum(a.tokens for a in good) / seconds,
            "first_p50": percentile([a.first for a in good], 0.5), "first_p99": percentile([a.first for a in good], 0.99),
            "gap_p50": percentile(gaps, 0.5), "gap_p99": percentile(gaps, 0.99),
            "cached_tokens": sum(a.cached_tokens for a in good), "prompt_tokens": sum(a.prompt_tokens for a in good)}


async def steady(server, clients, seconds, max_tokens=64):
    """`clients` that each send the next request when the last has been answered. Tokens are those of answers that ended
    within the time, and the time runs until the last of them. Resident bytes at each quarter of it and at its end."""
    answers, count = [], 0
    begin = time.monotonic()

    async def client():
        nonlocal count
        while time.monotonic() - begin < seconds:
            count += 1
            answers.append(await stream(server.host, server.port, ask(count, max_tokens)))

    resident = []

    async def watch():
        while True:
            resident.append(server.resident())
            await asyncio.sleep(seconds / 4)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(client() for _ in range(clients)))
    found = summary(answers, time.monotonic() - begin)
    watcher.cancel()
    return {**found, "resident": [*resident, server.resident()]}


async def shared_prefix(server, requests=32, words=1000, max_tokens=32):
    """All at once, behind one long system prompt (some 1,500 tokens)."""
    system = f"{next(asked)}. " + " ".join(f"Rule {i}: always mention {TOPICS[i % len(TOPICS)]}." for i in range(words // 8))
    begin = time.monotonic()

    def body(i):
        own = ask(i, max_tokens)
        return {**own, "messages": [{"role": "system", "content": system}, *own["messages"]]}

    answers = await asyncio.gather(*(stream(server.host, server.port, body(i)) for i in range(requests)))
    return summary(answers, time.monotonic() - begin)


def long_text(words, seed):
    return " ".join(f"{TOPICS[(i * 7 + seed) % len(TOPICS)]} {i * 31 + seed}" for i in range(words))


async def stall(server, streams=4, prompt_words=800):
    """Gaps between the tokens of some streams alone, and while a long prompt is read beside them."""
    async def run(beside):
        ready = asyncio.Event()
        left = streams

        def first():
            nonlocal left
            left -= 1
            if left == 0:
                ready.set()

        tasks = [asyncio.create_task(stream(server.host, server.port, ask(100 + i, 1500), on_first=first))
                 for i in range(streams)]
        await ready.wait()
        window = (time.monotonic(), float("inf"))
        prompt = None
        if beside:
            text = f"{next(asked)}. {long_text(prompt_words, 7)}"
            prompt = await stream(server.host, server.port,
                                  {"messages": [{"role": "user", "content": text}], "max_tokens": 1, "temperature": 0})
            window = (window[0], time.monotonic())
        answers = await asyncio.gather(*tasks)
        gaps = [b - a for answer in answers for a, b in zip(answer.times, answer.times[1:])
                if a >= window[0] and b <= window[1]]
        return gaps, prompt

    alone, _ = await run(False)
    beside, prompt = await run(True)
    return {"gap_p99_alone": percentile(alone, 0.99), "gap_p99_beside": percentile(beside, 0.99),
            "gap_p50_alone": percentile(alone, 0.5), "gap_p50_beside": percentile(beside, 0.5),
            "ratio": percentile(beside, 0.99) / percentile(alone, 0.99), "prompt_tokens": prompt.prompt_tokens,
            "prompt_first": prompt.first if not prompt.error else float("nan"), "errors": int(bool(prompt.error)), "first_error": prompt.error,
            "gaps_beside": len(beside)}


async def conversation(server, turns=20, words=42, max_tokens=64):
    """One chat: what each turn costs beside the tokens that are new in it."""
    messages, rows = [], []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"{next(asked)}. {long_text(words // 3, turn)}. Go on with the story."})
        answer = await stream(server.host, server.port,
                              {"messages": messages, "max_tokens": max_tokens, "temperature": 0}, keep_text=True)
        if answer.error:
            return {"error": answer.error, "turns": rows}
        messages.append({"role": "assistant", "content": answer.text})
        rows.append({"prompt_tokens": answer.prompt_tokens, "new_tokens": answer.prompt_tokens - answer.cached_tokens,
                     "first": answer.first})
    early = statistics.median(row["first"] for row in rows[1:6])
    late = statistics.median(row["first"] for row in rows[-5:])
    return {"turns": rows, "first_early": early, "first_late": late}
