# mypy: disable-error-code="import-not-found"
"""Plots the results: `benchmarks/.venv/bin/python -m benchmarks.comparison.plot RESULTS.json PLOT.png`.

Only that environment has matplotlib.
"""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

_PANELS = {
    "one update per request, 64 connections": (
        *("single/userfold", "single/plain_batcher", "single/plain", "single/plain_pymongo", "single/plain_schema"),
        *("single/parse", "single/eve"),
    ),
    "100 updates per request": (
        *("batch/bare", "batch/bare-1", "stream/userfold", "batch/userfold", "batch/plain"),
        *("batch/plain_schema", "batch/plain_pymongo", "batch/parse", "batch/eve"),
    ),
    "one update per RPC, 64 callers": ("rpc/echo", "rpc/userfold"),
}
_LABELS = {
    "userfold": "Userfold",
    "plain": "FastAPI + Motor",
    "plain_schema": "... with the same schema",
    "plain_batcher": "... with a batcher",
    "plain_pymongo": "FastAPI + AsyncMongoClient",
    "parse": "Parse Server",
    "eve": "Eve",
    "bare": "bare driver, 8 concurrent",
    "bare-1": "bare driver",
    "echo": "bare echo",
}
_USERFOLD_COLOR, _PEER_COLOR = "#1f6f8b", "#b8b8b8"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw updates per second, and the resident memory while many updates are stored."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for axis, (title, keys) in zip(axes.flat, _PANELS.items(), strict=False):
        keys_measured = [key for key in keys if key in results["samples"]]
        axis.set_visible(bool(keys_measured))
        rates = [[sample["rate"] for sample in results["samples"][key]] for key in keys_measured]
        medians = [median(of_key) for of_key in rates]
        spread = [
            [middle - min(of_key) for middle, of_key in zip(medians, rates, strict=True)],
            [max(of_key) - middle for middle, of_key in zip(medians, rates, strict=True)],
        ]
        labels = [_label(key) for key in keys_measured]
        colors = [_USERFOLD_COLOR if "userfold" in key else _PEER_COLOR for key in keys_measured]
        bars = axis.barh(labels, medians, xerr=spread, color=colors, capsize=3)
        axis.bar_label(bars, [f"{middle:,.0f}" for middle in medians], padding=6)
        axis.margins(x=0.16)
        axis.set(title=title, xlabel="updates per second (median; whiskers: all rounds)")
        axis.invert_yaxis()
    memory = axes[1][1]
    memory.set_visible(bool(results["memory"]))
    for name in ("server", "gateway") if results["memory"] else ():
        updates = [row["updates"] for row in results["memory"]]
        memory.plot(updates, [row[name] / 1e6 for row in results["memory"]], marker=".", label=name)
    if results["memory"]:
        memory.legend()
    memory.set(title="resident memory", xlabel="updates stored", ylabel="MB", ylim=(0, None))
    machine = results["machine"]
    figure.suptitle(f"Userfold {results['commit'][:12]}: {machine['cpu']}, {machine['cores']} cores", fontsize=10)
    figure.savefig(path, dpi=110)


def _label(key: str) -> str:
    kind, _, name = key.partition("/")
    return "Userfold, stream" if kind == "stream" else _LABELS[name]


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
