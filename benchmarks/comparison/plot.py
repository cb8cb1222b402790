# mypy: disable-error-code="import-not-found"
"""Draws the results: `benchmarks/.venv/bin/python -m benchmarks.comparison.plot RESULTS.json PLOT.png`.

matplotlib is installed there only.
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
    "one update a request, 64 connections": ("single/userfold", "single/plain", "single/parse", "single/eve"),
    "100 updates a request": (
        *("batch/bare", "batch/bare-1", "stream/userfold", "batch/userfold", "batch/plain", "batch/parse", "batch/eve"),
    ),
    "one update an RPC, 64 callers": ("rpc/echo", "rpc/userfold"),
}
_LABELS = {
    "userfold": "Userfold",
    "plain": "FastAPI + Motor",
    "parse": "Parse Server",
    "eve": "Eve",
    "bare": "bare driver, 8 at once",
    "bare-1": "bare driver",
    "echo": "bare echo",
}
_OURS, _OTHERS = "#1f6f8b", "#b8b8b8"


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw updates per second, and the memory that a million of them take."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for axis, (title, keys) in zip(axes.flat, _PANELS.items(), strict=False):
        shown = [key for key in keys if key in found["samples"]]
        axis.set_visible(bool(shown))
        rates = [[sample["rate"] for sample in found["samples"][key]] for key in shown]
        middles = [median(each) for each in rates]
        spread = [
            [middle - min(each) for middle, each in zip(middles, rates, strict=True)],
            [max(each) - middle for middle, each in zip(middles, rates, strict=True)],
        ]
        labels = [_label(key) for key in shown]
        colors = [_OURS if "userfold" in key else _OTHERS for key in shown]
        bars = axis.barh(labels, middles, xerr=spread, color=colors, capsize=3)
        axis.bar_label(bars, [f"{middle:,.0f}" for middle in middles], padding=6)
        axis.margins(x=0.16)
        axis.set(title=title, xlabel="updates per second (median; bars: all rounds)")
        axis.invert_yaxis()
    memory = axes[1][1]
    memory.set_visible(bool(found["memory"]))
    for name in ("server", "gateway") if found["memory"] else ():
        updates = [row["updates"] for row in found["memory"]]
        memory.plot(updates, [row[name] / 1e6 for row in found["memory"]], marker=".", label=name)
    if found["memory"]:
        memory.legend()
    memory.set(title="resident memory", xlabel="updates stored", ylabel="MB", ylim=(0, None))
    machine = found["machine"]
    figure.suptitle(f"Userfold {found['versions']['commit']}: {machine['cpu']}, {machine['cores']} cores", fontsize=10)
    figure.savefig(path, dpi=110)


def _label(key: str) -> str:
    kind, _, name = key.partition("/")
    return "Userfold, stream" if kind == "stream" else _LABELS[name]


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
