"""The results of `make bench`: as JSON, and as the tables that are printed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from benchmarks.comparison import scale
from benchmarks.comparison.rows import ROWS, TITLES, Quantity, Row
from benchmarks.environment.versions import described
from benchmarks.runs import Sample

Samples = Mapping[str, Sequence[Sample]]

_MEMORY_LIMIT_MB = 150
_MET: Final = {None: "", "missed": "**missed**", "required": "yes", "aim": "yes, the aim"}


@dataclass(frozen=True, slots=True)
class Result:
    """The numbers of a row. `ratio` is that of the medians; `lowest` and `highest` are ratios of single rounds. `met`
    is the better of "required" and "aim" that is reached, or "missed"."""

    measure: str
    against: str
    quantity: Quantity
    ours: float
    theirs: float
    ratio: float
    lowest: float
    highest: float
    required: float | None
    aim: float | None
    limit_ms: float | None
    met: str | None


def results_of(samples: Samples, rows: Sequence[Row] = ROWS) -> list[Result]:
    """The results of the rows whose samples are complete."""
    return [_result(row, samples) for row in rows if all(samples.get(key) for key in (row.key, *row.peers))]


def _result(row: Row, samples: Samples) -> Result:
    values = {key: [float(getattr(sample, row.quantity)) for sample in samples[key]] for key in (row.key, *row.peers)}
    ours = median(values[row.key])
    theirs = sum(median(values[peer]) for peer in row.peers)
    rounds = zip(*(values[peer] for peer in row.peers), strict=True)
    ratios = [mine / sum(of_peers) for mine, of_peers in zip(values[row.key], rounds, strict=True)]
    return Result(
        row.measure,
        row.against or TITLES[row.peers[0].partition("/")[2]],
        row.quantity,
        ours,
        theirs,
        round(ours / theirs, 2),
        round(min(ratios), 2),
        round(max(ratios), 2),
        row.required,
        row.aim,
        row.limit_ms,
        _met(row, ours, ours / theirs),
    )


def _met(row: Row, ours: float, ratio: float) -> str | None:
    # Not rounded: 0.946 does not meet 0.95.
    def reaches(target: float | None) -> bool:
        if target is None:
            return False
        return ratio >= target if row.quantity == "rate" else ratio <= target

    if row.limit_ms is not None and ours > row.limit_ms:
        return "missed"
    if row.required is None:
        return None
    if not reaches(row.required):
        return "missed"
    return "aim" if reaches(row.aim) else "required"


def document(samples: Samples, setting: Mapping[str, Any]) -> dict[str, Any]:
    """All results and samples, as JSON. An infinite percentile, among what was never served, is None."""
    return {
        **setting,
        "results": [asdict(result) for result in results_of(samples)],
        "samples": {key: [_as_json(sample) for sample in of_key] for key, of_key in samples.items()},
    }


def _as_json(sample: Sample) -> dict[str, Any]:
    return {name: None if value == math.inf else value for name, value in asdict(sample).items()}


def markdown(results: Mapping[str, Any]) -> str:
    """The tables of a `document`."""
    lines = [
        "| measure | Userfold | against | theirs | ratio (rounds) | required | aim | met |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in results["results"]:
        sign = ">=" if row["quantity"] == "rate" else "<="
        required, aim = ("" if row[name] is None else f"{sign} {row[name]:g}" for name in ("required", "aim"))
        if row["limit_ms"] is not None:
            required += f" and {row['limit_ms']:g} ms"
        lines.append(
            f"| {row['measure']} | {_value(row['ours'], row['quantity'])} | {row['against']} | "
            f"{_value(row['theirs'], row['quantity'])} | "
            f"**{row['ratio']:.2f}** ({row['lowest']:.2f} to {row['highest']:.2f}) | "
            f"{required} | {aim} | {_MET[row['met']]} |"
        )
    lines += _memory(results["memory"])
    lines += _offered(results["samples"])
    lines += scale.tables(results)
    lines += ["", "| run | updates/s, median (rounds) | p50 | p99 | CPU time per update, by program |"]
    lines.append("| --- | ---: | ---: | ---: | --- |")
    for key, samples in results["samples"].items():
        rates = [sample["rate"] for sample in samples]
        p50, p99 = (_percentile(samples, name) for name in ("p50_ms", "p99_ms"))
        costs = {name: median(sample["cpu_us"][name] for sample in samples) for name in samples[0]["cpu_us"]}
        cost = ", ".join(f"{name} {value:.0f} us" for name, value in costs.items())
        spread = f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        lines.append(f"| {key} | {spread} | {p50} | {p99} | {cost} |")
    return "\n".join([*lines, "", *_setting(results), ""])


def _value(value: float, quantity: str) -> str:
    if quantity == "rate":
        return f"{value:,.0f}/s"
    return f"{value:.0f} us" if quantity.endswith("_us") else f"{value:.2f} ms"


def _percentile(samples: Sequence[Mapping[str, Any]], name: str) -> str:
    """The median of a percentile over all rounds."""
    value = median(math.inf if sample[name] is None else sample[name] for sample in samples)
    return "never" if value == math.inf else f"{value:.1f} ms"


def _offered(samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """The table of the open loop."""
    lines = []
    for key, of_key in samples.items():
        if of_key[0].get("offered") is None:
            continue
        served, refused, unsent = (median(sample[name] for sample in of_key) for name in ("rate", "refused", "unsent"))
        p50, p99 = (_percentile(of_key, name) for name in ("p50_ms", "p99_ms"))
        lines.append(
            f"| {of_key[0]['offered']:,.0f}/s | {TITLES[key.partition('/')[2]]} | {served:,.0f}/s | {p50} | {p99} | "
            f"{refused:,.0f}/s | {unsent:,.0f}/s |"
        )
    head = ["", "| offered, one update per request | to | accepted | p50 | p99 | refused | never sent |"]
    return [*head, "| --- | --- | ---: | ---: | ---: | ---: | ---: |", *lines] if lines else []


def _memory(rows: Sequence[Mapping[str, int]]) -> list[str]:
    """One row per program: its memory at the end, and after the first part of the updates."""
    if len(rows) < 2:
        return []
    first, last = rows[1], rows[-1]
    lines = []
    for name in ("server", "gateway"):
        highest = max(row[name] for row in rows) / 1e6
        met = _MET["required" if highest <= _MEMORY_LIMIT_MB else "missed"]
        lines.append(
            f"| resident memory of the {name} after {last['updates']:,} updates | {last[name] / 1e6:.0f} MB | after "
            f"{first['updates']:,} | {first[name] / 1e6:.0f} MB | **{last[name] / first[name]:.2f}** | "
            f"<= {_MEMORY_LIMIT_MB} MB | | {met} |"
        )
    return lines


def _setting(results: Mapping[str, Any]) -> list[str]:
    machine, versions = results["machine"], results["versions"]
    peers = ", ".join(f"{name} {version}" for name, version in versions["peers"].items())
    packages = ", ".join(f"{name} {version}" for name, version in versions["packages"].items())
    return [
        f"{results['rounds']} interleaved rounds of {results['seconds']:g} s per run, medians; many profiles are "
        f"{results['profiles']:,}. {machine['cpu']}, {machine['cores']} cores shared by all, load generators included, "
        f"{machine['memory_gib']} GiB; {described(results)}{results['date']}.",
        "",
        f"Python {versions['python']}, MongoDB {versions['mongod']}, Node.js {versions['node']}, "
        f"wrk {versions['wrk']}; {packages}. Compared with: {peers}.",
        "",
        *(f"- {TITLES[name]}: {how}." for name, how in results["contenders"].items()),
    ]
