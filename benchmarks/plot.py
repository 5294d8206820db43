#!/usr/bin/env python3
"""Draws the curves of compare_llama.py's JSON: tokens per second against depth and against sequences side by side.

  benchmarks/plot.py result.json --out folder
  benchmarks/plot.py result.json --docs docs

Writes depth.svg and batch.svg, whichever the file has rows for; with --docs into its folder plots, and the tables of the
file take the place of those in its performance.md. Bands are the least and the greatest of the rounds. The
colours stand on light and dark pages. matplotlib is installed into a virtual environment of its own where it is missing.
"""

import argparse
import json
import os
import pathlib
import sys
import venv

import report
from models import cache_folder
from process import run, say

GREY = "#7d8590"  # as far from white as from a dark page
COLOURS = {"quern": "#e8590c", "llama.cpp": "#3b82f6"}
SPEED = "tokens per second"


def need_matplotlib():
    """Starts this script again with the python of an environment that has it."""
    try:
        import matplotlib  # noqa: F401
        return
    except ImportError:
        folder = cache_folder() / "plot"
    if pathlib.Path(sys.prefix).resolve() == folder.resolve():
        sys.exit(f"matplotlib cannot be loaded from {folder}")
    python = folder / "bin" / "python"
    if not list(folder.glob("lib/python*/site-packages/matplotlib")):
        say(f"installing matplotlib into {folder}")
        venv.create(folder, with_pip=True)
        run([python, "-m", "pip", "install", "--quiet", "matplotlib"])
    os.execv(python, [str(python), *sys.argv])


def curves(rows, group, what, over):
    """{name: [(x, median, min, max)]} of both programs and of the limit beside quern, by the field `over`."""
    chosen = sorted((row for row in rows if row["group"] == group and row["what"] == what), key=lambda row: row[over])
    found = {name: [(row[over], row[name]["median"], row[name]["min"], row[name]["max"]) for row in chosen]
             for name in COLOURS}
    limits = [row["quern"]["median"] / row["limit_share"]["median"] for row in chosen]
    found["limit"] = [(row[over], limit, limit, limit) for row, limit in zip(chosen, limits)]
    return found if chosen else {}


def draw(axes, found, title, across):
    for name, points in found.items():
        xs, medians, lows, highs = zip(*points)
        if name == "limit":
            axes.plot(xs, medians, color=GREY, linestyle=":", linewidth=1.2, label="limit of the machine")
            continue
        axes.fill_between(xs, lows, highs, color=COLOURS[name], alpha=0.2, linewidth=0)
        axes.plot(xs, medians, color=COLOURS[name], marker="o", markersize=3.5, linewidth=1.6, label=name)
    axes.set_title(title, color=GREY, fontsize=10)
    axes.set_xlabel(across, color=GREY, fontsize=9)
    axes.tick_params(colors=GREY, labelsize=8, which="both")
    for side, spine in axes.spines.items():
        spine.set_color(GREY)
        spine.set_visible(side in ("left", "bottom"))
    axes.grid(True, color=GREY, alpha=0.25, linewidth=0.5)


def finish(figure, axes, path):
    axes[0].set_ylabel(SPEED, color=GREY, fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(labels), frameon=False, labelcolor=GREY, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    figure.savefig(path, transparent=True, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw_depth(plt, rows, path):
    panels = [(what, curves(rows, "depth", what, "depth")) for what in ("prompt", "generate")]
    panels = [(what, found) for what, found in panels if found]
    if not panels:
        return False
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.2), squeeze=False)
    for place, (what, found) in zip(axes[0], panels):
        title = {"prompt": "reading a prompt", "generate": "generating"}[what]
        draw(place, found, title, "tokens before")
        place.set_ylim(bottom=0)
        place.set_xlim(left=0)
    finish(figure, axes[0], path)
    return True


def draw_batch(plt, rows, path):
    found = curves(rows, "batch", "generate", "sequences")
    if not found:
        return False
    figure, axes = plt.subplots(figsize=(5, 3.4))
    draw(axes, found, "generating, all sequences together", "sequences side by side")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sequences = [x for x, *_ in found["quern"]]
    axes.set_xticks(sequences, [str(n) for n in sequences])
    low, high = axes.get_ylim()
    ticks = [n for n in (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000) if low <= n <= high]
    axes.set_yticks(ticks, [f"{n:,}" for n in ticks])
    axes.minorticks_off()
    finish(figure, [axes], path)
    return True


DRAWINGS = {"depth": ("tokens per second against depth", draw_depth),
            "batch": ("tokens per second against sequences side by side", draw_batch)}


def draw_all(rows, folder, form):
    """The pictures made: [(title, path)]."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "quern", "savefig.dpi": 120})
    from matplotlib import pyplot
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, (title, drawing) in DRAWINGS.items():
        path = folder / f"{name}.{form}"
        if drawing(pyplot, rows, path):
            made.append((title, path))
            say(path)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=pathlib.Path, help="the JSON file of compare_llama.py")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."), help="the folder for the pictures")
    where.add_argument("--docs", type=pathlib.Path, help="the folder docs of the project: pictures and tables")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    options = parser.parse_args()
    need_matplotlib()
    result = json.loads(options.result.read_text())
    if not options.docs:
        draw_all(result["speed"], options.out, options.format)
        return
    made = draw_all(result["speed"], options.docs / "plots", "svg")
    page = options.docs / "performance.md"
    tables = report.markdown(result, [(title, path.relative_to(options.docs)) for title, path in made])
    page.write_text(report.replace_part(page.read_text(), tables))


if __name__ == "__main__":
    main()
