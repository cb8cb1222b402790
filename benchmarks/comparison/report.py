"""From samples to the tables that are printed, and kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.contenders.clients import Eve, Parse, Plain, Userfold
from benchmarks.runs import Sample

Samples = Mapping[str, Sequence[Sample]]
Of = Literal["rate", "p50_ms", "p99_ms"]

MEMORY_TARGET_MB = 150
TITLES = {contender.name: contender.title for contender in (Userfold, Plain, Parse, Eve)}
TITLES |= {
    "bare": "bare driver, bulk_write of 100, 8 at once",
    "bare-1": "bare driver, bulk_write of 100, one after the other",
    "echo": "bare grpc.aio echo",
    "find": "bare driver, find_one on the index",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: the samples under `key` against those of the best of `others`, by their `of`."""

    measure: str
    key: str
    others: tuple[str, ...]
    of: Of
    target: float | None
    against: str = ""


_FLOODED = "`POST /v1/users`, 1 connection, median latency in another application's flood of batches"
_LOOKED_UP = "gRPC `LookupUsers` of a token among many profiles"

# It has no other way to write many at once: the lighter job, but not an upsert.
_EVE = "Eve, which inserts new users"

ROWS = (
    Row("`POST /v1/users`, 64 connections", "single/userfold", ("single/plain",), "rate", 3),
    Row("`POST /v1/users/batch` of 100, 8 connections", "batch/userfold", ("batch/bare-1",), "rate", 0.75),
    Row("`POST /v1/users/batch` of 100, 8 connections", "batch/userfold", ("batch/bare",), "rate", None),
    Row("`POST /v1/users/batch` of 100, 8 connections", "batch/userfold", ("batch/plain",), "rate", None),
    Row("gRPC `UpdateUser`, 64 callers", "rpc/userfold", ("rpc/echo",), "rate", 0.5),
    Row("gRPC `StreamUpdateUsers`, 1 stream", "stream/userfold", ("batch/bare-1",), "rate", 0.6),
    Row("gRPC `StreamUpdateUsers`, 1 stream", "stream/userfold", ("batch/bare",), "rate", None),
    Row("`POST /v1/users`, 1 connection, median latency", "latency/userfold", ("latency/plain",), "p50_ms", 1.8),
    Row("`POST /v1/users`, 64 connections", "single/userfold", ("single/parse", "single/eve"), "rate", 4),
    Row("`POST /v1/users/batch` of 100, 8 connections", "batch/userfold", ("batch/parse",), "rate", 4),
    Row("`POST /v1/users/batch` of 100, 8 connections", "batch/userfold", ("batch/eve",), "rate", None, _EVE),
    Row(
        "`POST /v1/users`, 64 connections, many profiles stored",
        "profiles/many",
        ("profiles/few",),
        "rate",
        0.85,
        "1,000 stored",
    ),
    Row(f"{_LOOKED_UP}, 64 callers, 99th percentile", "lookup/userfold", ("lookup/find",), "p99_ms", 2),
    Row(f"{_LOOKED_UP}, 64 callers, median latency", "lookup/userfold", ("lookup/find",), "p50_ms", None),
    Row(f"{_LOOKED_UP}, 1 caller, 99th percentile", "lookup-1/userfold", ("lookup-1/find",), "p99_ms", None),
    Row("an update of a user with 1,000 aliases", "aliases/1000", ("aliases/10",), "p50_ms", 1.5, "with 10"),
    Row(
        "an update of a user with 1,000 aliases, with a new token",
        "aliases/1000-new",
        ("aliases/10",),
        "p50_ms",
        None,
        "with 10 and a known token",
    ),
    Row(
        _FLOODED,
        "flooded/userfold",
        ("latency/userfold",),
        "p50_ms",
        None,
        "without the flood",
    ),
    Row(_FLOODED, "flooded/userfold", ("flooded/plain",), "p50_ms", None, "FastAPI + Motor in the same flood"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """A row with its numbers. `least` and `most` are of the ratios of single rounds."""

    measure: str
    against: str
    of: Of
    ours: float
    theirs: float
    ratio: float
    least: float
    most: float
    target: float | None
    met: bool | None


def results_of(samples: Samples) -> list[Result]:
    """The rows of which everything was measured."""
    results = []
    for row in ROWS:
        keys = (row.key, *row.others)
        if not all(samples.get(key) for key in keys):
            continue
        medians = {key: median(getattr(sample, row.of) for sample in samples[key]) for key in keys}
        best = (max if row.of == "rate" else min)(row.others, key=lambda key: medians[key])
        ratios = [
            getattr(ours, row.of) / getattr(theirs, row.of)
            for ours, theirs in zip(samples[row.key], samples[best], strict=True)
        ]
        ratio = medians[row.key] / medians[best]
        met = None if row.target is None else ratio >= row.target if row.of == "rate" else ratio <= row.target
        against = row.against or TITLES[best.partition("/")[2]]
        results.append(
            Result(
                row.measure,
                against,
                row.of,
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
    """Everything that was measured, for programs."""
    return {
        **setting,
        "results": [asdict(result) for result in results_of(samples)],
        "memory": memory,
        "samples": {key: [asdict(sample) for sample in each] for key, each in samples.items()},
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The tables, from what `document` made."""
    lines = [
        "| measure | Userfold | against | theirs | ratio (rounds) | target |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for row in found["results"]:
        at = ">=" if row["of"] == "rate" else "<="
        target = "" if row["target"] is None else f"{at} {row['target']:g}: {'met' if row['met'] else '**missed**'}"
        lines.append(
            f"| {row['measure']} | {_value(row['ours'], row['of'])} | {row['against']} | "
            f"{_value(row['theirs'], row['of'])} | **{row['ratio']:.2f}** ({row['least']:.2f} to {row['most']:.2f}) | "
            f"{target} |"
        )
    lines += _memory(found["memory"])
    lines += ["", "| run | calls' updates/s, median (rounds) | p50 | p99 | CPU time an update, by process |"]
    lines.append("| --- | ---: | ---: | ---: | --- |")
    for key, each in found["samples"].items():
        rates = [sample["rate"] for sample in each]
        p50, p99 = (median(sample[name] for sample in each) for name in ("p50_ms", "p99_ms"))
        costs = {name: median(sample["cpu_us"][name] for sample in each) for name in each[0]["cpu_us"]}
        cost = ", ".join(f"{name} {value:.0f} us" for name, value in costs.items())
        spread = f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        lines.append(f"| {key} | {spread} | {p50:.1f} ms | {p99:.1f} ms | {cost} |")
    return "\n".join([*lines, "", *_setting(found), ""])


def _value(value: float, of: Of) -> str:
    return f"{value:,.0f}/s" if of == "rate" else f"{value:.2f} ms"


def _memory(rows: Sequence[Mapping[str, int]]) -> list[str]:
    """A row for each process: its memory at the end, and when the first part was through."""
    if len(rows) < 2:
        return []
    first, last = rows[1], rows[-1]
    lines = []
    for name in ("server", "gateway"):
        highest = max(row[name] for row in rows) / 1e6
        met = "met" if highest <= MEMORY_TARGET_MB else "**missed**"
        lines.append(
            f"| resident memory of the {name} after {last['updates']:,} updates | {last[name] / 1e6:.0f} MB | after "
            f"{first['updates']:,} | {first[name] / 1e6:.0f} MB | **{last[name] / first[name]:.2f}** | "
            f"<= {MEMORY_TARGET_MB} MB: {met} |"
        )
    return lines


def _setting(found: Mapping[str, Any]) -> list[str]:
    machine, used = found["machine"], found["versions"]
    peers = ", ".join(f"{name} {version}" for name, version in used["peers"].items())
    packages = ", ".join(f"{name} {version}" for name, version in used["packages"].items())
    return [
        f"{found['rounds']} interleaved rounds of {found['seconds']:g} s a run, medians; many profiles are "
        f"{found['profiles']:,}. {machine['cpu']}, {machine['cores']} cores shared by all, load generators included, "
        f"{machine['memory_gib']} GiB; commit {used['commit']}, {found['date']}.",
        "",
        f"Python {used['python']}, MongoDB {used['mongod']}, Node.js {used['node']}, wrk {used['wrk']}; {packages}. "
        f"Measured against: {peers}.",
        "",
        *(f"- {TITLES[name]}: {how}." for name, how in found["contenders"].items()),
    ]
