"""The results of `make bench`: as JSON, and as the tables that are printed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.comparison.rows import ROWS, TITLES, Quantity
from benchmarks.runs import Sample

Samples = Mapping[str, Sequence[Sample]]

_MEMORY_LIMIT_MB = 150


@dataclass(frozen=True, slots=True)
class Result:
    """The numbers of a row. `ratio` is that of the medians; `lowest` and `highest` are ratios of single rounds."""

    measure: str
    against: str
    quantity: Quantity
    ours: float
    theirs: float
    ratio: float
    lowest: float
    highest: float
    target: float | None
    met: bool | None


def results_of(samples: Samples) -> list[Result]:
    """The results of the rows whose samples are complete."""
    results = []
    for row in ROWS:
        keys = (row.key, *row.peers)
        if not all(samples.get(key) for key in keys):
            continue
        medians = {key: median(getattr(sample, row.quantity) for sample in samples[key]) for key in keys}
        best = (max if row.quantity == "rate" else min)(row.peers, key=lambda key: medians[key])
        ratios = [
            getattr(ours, row.quantity) / getattr(theirs, row.quantity)
            for ours, theirs in zip(samples[row.key], samples[best], strict=True)
        ]
        ratio = medians[row.key] / medians[best]
        met = None if row.target is None else ratio >= row.target if row.quantity == "rate" else ratio <= row.target
        results.append(
            Result(
                row.measure,
                row.against or TITLES[best.partition("/")[2]],
                row.quantity,
                medians[row.key],
                medians[best],
                round(ratio, 2),
                round(min(ratios), 2),
                round(max(ratios), 2),
                row.target,
                met,
            )
        )
    return results


def document(samples: Samples, memory: Sequence[Mapping[str, int]], setting: Mapping[str, Any]) -> dict[str, Any]:
    """All results and samples, as JSON."""
    return {
        **setting,
        "results": [asdict(result) for result in results_of(samples)],
        "memory": memory,
        "samples": {key: [asdict(sample) for sample in of_key] for key, of_key in samples.items()},
    }


def markdown(results: Mapping[str, Any]) -> str:
    """The tables of a `document`."""
    lines = [
        "| measure | Userfold | against | theirs | ratio (rounds) | target |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for row in results["results"]:
        sign = ">=" if row["quantity"] == "rate" else "<="
        target = "" if row["target"] is None else f"{sign} {row['target']:g}: {'met' if row['met'] else '**missed**'}"
        lines.append(
            f"| {row['measure']} | {_value(row['ours'], row['quantity'])} | {row['against']} | "
            f"{_value(row['theirs'], row['quantity'])} | "
            f"**{row['ratio']:.2f}** ({row['lowest']:.2f} to {row['highest']:.2f}) | {target} |"
        )
    lines += _memory(results["memory"])
    lines += ["", "| run | updates/s, median (rounds) | p50 | p99 | CPU time per update, by program |"]
    lines.append("| --- | ---: | ---: | ---: | --- |")
    for key, samples in results["samples"].items():
        rates = [sample["rate"] for sample in samples]
        p50, p99 = (median(sample[name] for sample in samples) for name in ("p50_ms", "p99_ms"))
        costs = {name: median(sample["cpu_us"][name] for sample in samples) for name in samples[0]["cpu_us"]}
        cost = ", ".join(f"{name} {value:.0f} us" for name, value in costs.items())
        spread = f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        lines.append(f"| {key} | {spread} | {p50:.1f} ms | {p99:.1f} ms | {cost} |")
    return "\n".join([*lines, "", *_setting(results), ""])


def _value(value: float, quantity: str) -> str:
    if quantity == "rate":
        return f"{value:,.0f}/s"
    return f"{value:.0f} us" if quantity.endswith("_us") else f"{value:.2f} ms"


def _memory(rows: Sequence[Mapping[str, int]]) -> list[str]:
    """One row per program: its memory at the end, and after the first part of the updates."""
    if len(rows) < 2:
        return []
    first, last = rows[1], rows[-1]
    lines = []
    for name in ("server", "gateway"):
        highest = max(row[name] for row in rows) / 1e6
        met = "met" if highest <= _MEMORY_LIMIT_MB else "**missed**"
        lines.append(
            f"| resident memory of the {name} after {last['updates']:,} updates | {last[name] / 1e6:.0f} MB | after "
            f"{first['updates']:,} | {first[name] / 1e6:.0f} MB | **{last[name] / first[name]:.2f}** | "
            f"<= {_MEMORY_LIMIT_MB} MB: {met} |"
        )
    return lines


def _setting(results: Mapping[str, Any]) -> list[str]:
    machine, versions = results["machine"], results["versions"]
    peers = ", ".join(f"{name} {version}" for name, version in versions["peers"].items())
    packages = ", ".join(f"{name} {version}" for name, version in versions["packages"].items())
    return [
        f"{results['rounds']} interleaved rounds of {results['seconds']:g} s per run, medians; many profiles are "
        f"{results['profiles']:,}. {machine['cpu']}, {machine['cores']} cores shared by all, load generators included, "
        f"{machine['memory_gib']} GiB; commit {versions['commit']}, {results['date']}.",
        "",
        f"Python {versions['python']}, MongoDB {versions['mongod']}, Node.js {versions['node']}, "
        f"wrk {versions['wrk']}; {packages}. Compared with: {peers}.",
        "",
        *(f"- {TITLES[name]}: {how}." for name, how in results["contenders"].items()),
    ]
