#!/usr/bin/env python3
"""quern serve beside llama-server on this machine: clients that stream, a shared prefix, a long prompt beside streams,
a conversation, a restart.

In each round every scenario is run by both servers, one right after the other, the first one changing with the round.
Figures are medians over the rounds. Nothing else should run on the machine; traffic stays on the loopback.

  benchmarks/serve/compare_llama_server.py --json result.json --markdown table.md
  benchmarks/serve/compare_llama_server.py --only clients --clients 8,32 --seconds 20 --rounds 1
"""

import argparse
import asyncio
import json
import pathlib
import statistics
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import peer  # noqa: E402  (found beside the folder of this script)
import scenarios  # noqa: E402
from models import cache_folder  # noqa: E402
from process import run, say  # noqa: E402
from servers import LlamaServer, Quern  # noqa: E402

ROOT = HERE.parent.parent
GROUPS = ("clients", "prefix", "stall", "chat", "restart")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quern", type=pathlib.Path, default=ROOT / "build" / "quern")
    parser.add_argument("--llama", type=pathlib.Path, help="folder of llama.cpp's programs")
    parser.add_argument("--model", type=pathlib.Path, help="a GGUF file (default: smollm2:135m)")
    parser.add_argument("--only", default=",".join(GROUPS), help="of %(default)s")
    parser.add_argument("--clients", default="1,8,32,64")
    parser.add_argument("--seconds", type=float, default=60, help="of each number of clients (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--markdown", type=pathlib.Path)
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.clients = [int(n) for n in options.clients.split(",")]
    return options


def pair(options, llama, slots, context, flags=()):
    return [Quern(options.quern, options.model, flags), LlamaServer(llama, options.model, slots, context)]


def in_turn(servers, turn):
    return servers if turn % 2 == 0 else servers[::-1]


def warm(server):
    asyncio.run(scenarios.steady(server, 1, 0.5))


def measure(options, llama):
    """{(group, detail, engine): [figures of each round]}"""
    found = {}

    def note(group, detail, server, figures):
        say(f"{group} {detail} {server.name}: " +
            ", ".join(f"{k} {v:.4g}" for k, v in figures.items() if isinstance(v, (int, float))))
        found.setdefault((group, detail, server.name), []).append(figures)

    for turn in range(options.rounds):
        for clients in options.clients if "clients" in options.only else []:
            for server in in_turn(pair(options, llama, min(clients, 32), 1024), turn):
                with server:
                    warm(server)
                    note("clients", clients, server, asyncio.run(scenarios.steady(server, clients, options.seconds)))
        for server in in_turn(pair(options, llama, 32, 2048), turn) if "prefix" in options.only else []:
            with server:
                warm(server)
                note("prefix", 32, server, asyncio.run(scenarios.shared_prefix(server)))
        for server in in_turn(pair(options, llama, 5, 8192), turn) if "stall" in options.only else []:
            with server:
                warm(server)
                for streams in (1, 4):
                    note("stall", streams, server, asyncio.run(scenarios.stall(server, streams)))
        for server in in_turn(pair(options, llama, 1, 8192), turn) if "chat" in options.only else []:
            with server:
                warm(server)
                note("chat", 20, server, asyncio.run(scenarios.conversation(server)))
        if "restart" in options.only:
            measure_restart(options, note)
    return found


def measure_restart(options, note):
    """The first token of a prompt of some 4,000 tokens: new, and after a restart of the server that has read it."""
    body = {"messages": [{"role": "user", "content": f"{next(scenarios.asked)}. {scenarios.long_text(420, 7)}"}], "max_tokens": 8, "temperature": 0}
    with tempfile.TemporaryDirectory() as folder:
        answers = []
        for _ in range(2):
            server = Quern(options.quern, options.model, ["--kv-dir", folder])
            with server:
                warm(server)
                answers.append(asyncio.run(scenarios.stream(server.host, server.port, body, keep_text=True)))
        cold, back = answers
        if cold.error or back.error:
            sys.exit(f"restart: {cold.error or back.error}")
        note("restart", cold.prompt_tokens, server,
             {"first_cold": cold.first, "first_restored": back.first, "ratio": cold.first / back.first,
              "cached_tokens": back.cached_tokens, "same_text": int(cold.text == back.text)})


def median(found, key, field):
    return statistics.median(figures[field] for figures in found[key])


def memory_rows(found):
    """Resident MB of the first round."""
    rows = ["", "| resident MB at the begin, each quarter and the end | quern | llama-server |", "|---|---|---|"]
    for group, detail, engine in found:
        if group == "clients" and engine == "quern" and (group, detail, "llama-server") in found:
            cells = [", ".join(f"{value / 1e6:.0f}" for value in found[group, detail, name][0]["resident"])
                     for name in ("quern", "llama-server")]
            rows.append(f"| {detail} client{'s' * (detail > 1)} | {cells[0]} | {cells[1]} |")
    return rows if len(rows) > 3 else []


def other_rows(found):
    rows = ["", "| work | engine | figures |", "|---|---|---|"]
    for (group, detail, engine), rounds in found.items():
        value = {k: statistics.median(f[k] for f in rounds) for k, v in rounds[0].items() if isinstance(v, (int, float))}
        if group == "stall":
            rows.append(f"| {detail} stream{'s' * (detail > 1)} while {value['prompt_tokens']:.0f} tokens are read | {engine} | p99 gap "
                        f"{1000 * value['gap_p99_alone']:.1f} ms alone, {1000 * value['gap_p99_beside']:.1f} ms beside, ratio "
                        f"{value['ratio']:.1f}; the prompt's first token after {value['prompt_first']:.1f} s |")
        elif group == "chat":
            last = rounds[0]["turns"][-1]
            rows.append(f"| chat of {detail} turns to {last['prompt_tokens']} tokens | {engine} | first token "
                        f"{value['first_early']:.3f} s in turns 2 to 6, {value['first_late']:.3f} s in the last 5; computed in the "
                        f"last: {last['new_tokens']} |")
        elif group == "restart":
            rows.append(f"| restart with {detail} tokens on disk | {engine} | first token {value['first_cold']:.2f} s new, "
                        f"{value['first_restored']:.3f} s restored, ratio {value['ratio']:.0f} |")
    return rows if len(rows) > 3 else []


def table(found):
    rows = ["| work | quern tok/s | llama-server tok/s | ratio | first token, median: quern | llama-server | p99 gap: quern | "
            "llama-server | errors |", "|---|---|---|---|---|---|---|---|---|"]
    for group, detail, engine in found:
        if group not in ("clients", "prefix") or engine != "quern" or (group, detail, "llama-server") not in found:
            continue
        ours, theirs = (group, detail, "quern"), (group, detail, "llama-server")
        title = f"{detail} client{'s' * (detail > 1)}" if group == "clients" else f"{detail} requests behind one long system prompt"
        a, b = median(found, ours, "tokens_per_s"), median(found, theirs, "tokens_per_s")
        errors = sum(f["errors"] for f in found[ours]), sum(f["errors"] for f in found[theirs])
        rows.append(f"| {title} | {a:.0f} | {b:.0f} | {a / b:.1f} | {median(found, ours, 'first_p50'):.3f} s | "
                    f"{median(found, theirs, 'first_p50'):.3f} s | {1000 * median(found, ours, 'gap_p99'):.0f} ms | "
                    f"{1000 * median(found, theirs, 'gap_p99'):.0f} ms | {errors[0]}, {errors[1]} |")
    return "\n".join(rows + memory_rows(found) + other_rows(found)) + "\n"


def main():
    options = parse_options()
    folder = cache_folder()
    programs = options.llama or peer.install(folder / "venv")
    llama = peer.Llama(programs, peer.library_folder(programs, folder / "lib"))
    if options.model is None:
        options.model = pathlib.Path(run([options.quern, "pull", "smollm2:135m"]).strip())
    found = measure(options, llama)
    if options.json:
        rows = [{"group": g, "detail": d, "engine": e, "rounds": f} for (g, d, e), f in found.items()]
        options.json.write_text(json.dumps({"results": rows}, indent=1) + "\n")
    text = table(found)
    if options.markdown:
        options.markdown.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
