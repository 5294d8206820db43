"""From samples to rows (medians and spreads), and from rows to Markdown. Pure."""

import statistics

from models import TITLES

KEY = ("group", "model", "threads", "what", "tokens", "depth", "sequences")


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def speed_rows(samples):
    """A row for each figure. A sample is a dict of KEY, round, engine and rate; quern's also has the limit measured just
    before it, which serves for the same round's share. Rows that lack a program are left out."""
    grouped = {}
    for sample in samples:
        grouped.setdefault(tuple(sample[name] for name in KEY), {}).setdefault(sample["engine"], []).append(sample)
    rows = []
    for key, by_engine in grouped.items():
        if set(by_engine) != {"quern", "llama.cpp"}:
            continue
        ours, theirs = by_engine["quern"], by_engine["llama.cpp"]
        row = dict(zip(KEY, key))
        row["quern"] = spread([sample["rate"] for sample in ours])
        row["llama.cpp"] = spread([sample["rate"] for sample in theirs])
        row["ratio"] = row["quern"]["median"] / row["llama.cpp"]["median"]
        row["limit_share"] = spread([sample["rate"] / sample["limit"] for sample in ours])
        row["read_bytes_per_s"] = spread([sample["read_bytes_per_s"] for sample in ours])
        rows.append(row)
    return rows


def merge(samples, names):
    """{(model, threads): {(engine, ...): {field: spread}}} of nested samples, by the fields named before the value."""
    found = {}
    for sample in samples:
        at = found.setdefault((sample["model"], sample["threads"]), {})
        at.setdefault(tuple(sample[name] for name in names), {}).setdefault(sample["field"], []).append(sample["value"])
    return {key: {who: {field: spread(values) for field, values in fields.items()} for who, fields in by.items()}
            for key, by in found.items()}


def lines(*rows):
    """A Markdown table: the first row is its head."""
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *rest])


def rate(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def figures(row):
    return (rate(row["quern"]["median"]), rate(row["llama.cpp"]["median"]), f"{row['ratio']:.2f}",
            f"{100 * row['limit_share']['median']:.0f} %", f"{row['read_bytes_per_s']['median'] / 1e9:.0f}")


FIGURES = ("quern tok/s", "llama.cpp tok/s", "ratio", "share of the limit", "GB/s then")


def speed_table(rows):
    head = ("model", "threads", "what", *FIGURES)
    return lines(head, *((TITLES[row["model"]], str(row["threads"]), f"{row['what']} {row['tokens']}", *figures(row))
                         for row in rows if row["group"] in ("smollm2", "formats", "gemma3", "7b")))


def depth_table(rows):
    return lines(("depth", "what", *FIGURES),
                 *((str(row["depth"]), f"{row['what']} {row['tokens']}", *figures(row))
                   for what in ("prompt", "generate") for row in rows if row["group"] == "depth" and row["what"] == what))


def batch_table(rows):
    of = [row for row in rows if row["group"] == "batch"]
    one = next((row["quern"]["median"] for row in of if row["sequences"] == 1), None)
    return lines(("sequences", *FIGURES, "quern, beside one"),
                 *((str(row["sequences"]), *figures(row), f"{row['quern']['median'] / one:.2f}" if one else "")
                   for row in of))


def load_table(loads):
    def seconds(of, field):
        return f"{of[field]['median']:.2f}" if field in of else "-"
    table = []
    for (model, _), by in loads.items():
        for (engine, turn), of in by.items():
            table.append((TITLES[model], engine, turn if engine == "quern" else "any", seconds(of, "load_s"),
                          seconds(of, "first_token_s"), seconds(of, "process_s")))
    return lines(("model", "program", "time", "load s", "then first token s", "whole process s"), *table)


def memory_table(memories):
    """MB of 10^6 bytes. The rest of the peak is what is neither weights nor keys and values, which both programs keep as f16."""
    def mb(value):
        return f"{value / 1e6:.0f}"
    table = []
    for (model, _), by in memories.items():
        kv = by["quern",]["kv"]["median"]
        for (engine,), of in by.items():
            peak, weights = of["peak"]["median"], of["weights"]["median"]
            table.append((TITLES[model], engine, mb(peak), mb(weights), mb(kv), mb(peak - weights - kv),
                          mb(of["anonymous"]["median"]), mb(of["file"]["median"])))
    return lines(("model", "program", "peak MB", "weights", "KV", "rest", "at work: own", "at work: mapped"), *table)


def markdown(result, pictures=()):
    """All tables of a result (compare_llama.main), each under a title; `pictures` has (title, path) to show first."""
    machine = result["machine"]
    rows = result["speed"]
    have = {row["group"] for row in rows}
    threads = max((row["threads"] for row in rows), default=0)
    parts = [f"{machine['cpu']}, {machine['cores']} cores; quern {machine['version']}, {machine['compiler']}, "
             f"{machine['isa']}; llama.cpp {result['llama']}; medians of {result['rounds']} interleaved rounds."]
    parts += [f"![{title}]({path})" for title, path in pictures]
    if have - {"depth", "batch"}:
        parts += ["### Prompts and generating", speed_table(rows)]
    if "depth" in have:
        parts += [f"### Depth: {TITLES['smollm2']}, {threads} threads", depth_table(rows)]
    if "batch" in have:
        parts += [f"### Sequences side by side: {TITLES['smollm2']}, {threads} threads", batch_table(rows)]
    if result["load"]:
        parts += ["### Load", load_table(merge(result["load"], ("engine", "turn")))]
    if result["memory"]:
        parts += ["### Memory", memory_table(merge(result["memory"], ("engine",)))]
    return "\n\n".join(parts) + "\n"


BEGIN, END = "<!-- compare_llama.py -->", "<!-- end of compare_llama.py -->"


def replace_part(document, tables):
    """The document with what stands between BEGIN and END replaced; ValueError where it has no such part."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no part between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"
