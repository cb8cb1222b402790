"""What follows from the measured costs for ten million profiles, and for many updates a second. Pure."""

import math
from collections.abc import Mapping, Sequence
from statistics import linear_regression, median
from typing import Any, Final

COMPUTED_PROFILES: Final = 10_000_000
UPDATES_PER_SECOND: Final = (1_000, 10_000, 100_000)

BUSY: Final = 0.6
"""The share of a core that is planned for. The rest is for peaks, and for the failure of a machine."""
MACHINE_CORES: Final = 8

_MEASURED: Final = ("profiles/few", "profiles/tenth", "profiles/many")
_PROGRAMS: Final = ("gateway", "server", "mongod")
_KINDS: Final = {"single/userfold": "one update per request", "batch/userfold": "100 updates per request"}


def by_decades(profiles: int, measured: Sequence[tuple[int, float]]) -> float:
    """The value at a number of profiles, on the line of least squares through values over log10(profiles).

    The depth of a B-tree, and with it the cost of an update, grows with the logarithm.
    """
    slope, intercept = linear_regression([math.log10(count) for count, _ in measured], [value for _, value in measured])
    return slope * math.log10(profiles) + intercept


def by_growth(profiles: int, measured: Sequence[tuple[int, float]]) -> float:
    """The value at a number of profiles, if each further one adds as much as between the last two values."""
    (fewer, lower), (more, higher) = measured[-2:]
    return higher + (profiles - more) * (higher - lower) / (more - fewer)


def machines(updates: int, cpu_us: Mapping[str, float]) -> dict[str, float]:
    """The cores of each program at so many updates a second, and the machines for them.

    `cpu_us` is the CPU time of each program in microseconds per update. Gateways and servers share `stateless`
    machines. Each of the `shards` is the primary of a replica set, on a machine of its own.
    """
    cores = {name: updates * cpu_us[name] / 1e6 / BUSY for name in _PROGRAMS}
    stateless = math.ceil((cores["gateway"] + cores["server"]) / MACHINE_CORES)
    return cores | {"stateless": stateless, "shards": math.ceil(cores["mongod"] / MACHINE_CORES)}


def tables(results: Mapping[str, Any]) -> list[str]:
    """The tables of many profiles and of machines, as far as their samples are in the results."""
    return [*_profiles(results), *_machines(results["samples"])]


def _profiles(results: Mapping[str, Any]) -> list[str]:
    stored, samples = results["stored"], results["samples"]
    if not all(key in stored and key in samples for key in _MEASURED):
        return []
    counts = [stored[key]["profiles"] for key in _MEASURED]
    # Each quantity: its values, and how they go on.
    columns = {
        "rate": ([median(sample["rate"] for sample in samples[key]) for key in _MEASURED], by_decades),
        **{name: (_cpu(samples, name), by_decades) for name in _PROGRAMS},
        **{name: ([stored[key][name] for key in _MEASURED], by_growth) for name in ("data_bytes", "index_bytes")},
    }
    rows = [{name: values[index] for name, (values, _) in columns.items()} for index in range(len(counts))]
    rows.append(
        {
            name: extended(COMPUTED_PROFILES, list(zip(counts, values, strict=True)))
            for name, (values, extended) in columns.items()
        }
    )
    lines = [
        "",
        "| stored profiles | updates/s, 64 connections | CPU time of an update: gateway, server, mongod | data on disk "
        "per profile | indexes per profile |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for count, row in zip([*counts, COMPUTED_PROFILES], rows, strict=True):
        cpu = ", ".join(f"{row[name]:.0f}" for name in _PROGRAMS)
        lines.append(
            f"| {count:,}{'' if count in counts else ', computed'} | {row['rate']:,.0f}/s "
            f"({row['rate'] / rows[0]['rate']:.2f}) | {cpu} us | {row['data_bytes'] / count:,.0f} bytes | "
            f"{row['index_bytes'] / count:,.0f} bytes |"
        )
    whole = rows[-1]
    lines += [
        "",
        "Computed: rate and CPU time as the line of least squares through the measured values over log10(profiles); "
        "bytes with each further profile as large as between the last two measured. All indexes of "
        f"{COMPUTED_PROFILES:,} profiles are {whole['index_bytes'] / 2**30:.1f} GiB, their data "
        f"{whole['data_bytes'] / 2**30:.1f} GiB as it is compressed. The computed rate holds while the indexes and the "
        f"profiles in use fit into MongoDB's cache, here {results['machine']['mongod_cache']}.",
    ]
    return lines


def _cpu(samples: Mapping[str, Any], program: str) -> list[float]:
    return [median(sample["cpu_us"][program] for sample in samples[key]) for key in _MEASURED]


def _machines(samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    if not all(key in samples for key in _KINDS):
        return []
    lines = [
        "",
        "| updates a second | sent as | cores: gateway, server, mongod | "
        f"machines of {MACHINE_CORES} cores for gateways and servers | replica sets |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    for updates in UPDATES_PER_SECOND:
        for key, title in _KINDS.items():
            cpu_us = {name: median(sample["cpu_us"][name] for sample in samples[key]) for name in _PROGRAMS}
            needed = machines(updates, cpu_us)
            cores = ", ".join(f"{needed[name]:.1f}" for name in _PROGRAMS)
            lines.append(f"| {updates:,} | {title} | {cores} | {needed['stateless']} | {needed['shards']} |")
    return lines
