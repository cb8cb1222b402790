"""The tables of `make costs`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.costs.exchanges import MESSAGE_BYTES, PAUSE_SECONDS
from benchmarks.costs.groups import SIZES
from benchmarks.environment.versions import described

_KINDS: Final = {"single": "one update per request", "batch": "100 updates per request"}


def markdown(results: Mapping[str, Any]) -> str:
    """One table for each run, and one of each other kind."""
    about = results["machine"]
    lines = []
    for run in results["runs"]:
        lines += [
            f"{run['title']}: {run['rate']:,.0f}/s, {run['cores']:.2f} of {about['cores']} cores busy.",
            "",
            "| threads | CPU time per update | ready, but without a core |",
            "| --- | ---: | ---: |",
        ]
        by_cost = sorted(run["ran"].items(), key=lambda item: -item[1])
        lines += [f"| {key} | {us:.0f} us | {run['waited'][key]:.0f} us |" for key, us in by_cost if us >= 1]
        lines.append("")
    lines += _stages(results.get("stages", {}))
    size = f"{MESSAGE_BYTES:,} bytes, {PAUSE_SECONDS * 1000:g} ms apart"
    lines += [f"| {size} | client | server | latency |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {exchange['client_us']:.0f} us | {exchange['server_us']:.0f} us | {exchange['ms']:.2f} ms |"
        for name, exchange in results["exchanges"].items()
    ]
    sizes = " | ".join(f"groups of {size}" for size in SIZES)
    lines += ["", f"| MongoDB, per update | {sizes} |", f"| --- |{' ---: |' * len(SIZES)}"]
    lines += [
        f"| {title} | {' | '.join(f'{us:.0f} us ({ms:.1f} ms per group)' for ms, us in of_sizes)} |"
        for title, of_sizes in results["groups"].items()
    ]
    lines += _workers(results.get("workers", ()))
    lines += _memory(results.get("memory", {}))
    shared = f"{about['cpu']}, {about['cores']} cores shared by all, the load included"
    return "\n".join([*lines, "", f"{shared}; {described(results)}{results['date']}.", ""])


def _stages(measured: Mapping[str, float]) -> list[str]:
    """The cost of an update in the server by stage."""
    lines = [f"| {stage} | {us:.1f} us |" for stage, us in measured.items()]
    head = ["| an update in a batch of 100, in the server | CPU time |", "| --- | ---: |"]
    return [*head, *lines, ""] if lines else []


def _workers(measured: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rates with each number of workers."""
    lines = []
    for run in measured:
        cpu = ", ".join(f"{run['cpu_us'][name]:.0f}" for name in ("gateway", "server", "mongod"))
        lines.append(f"| {run['workers']} | {_KINDS[run['kind']]} | {run['rate']:,.0f}/s | {cpu} us |")
    head = ["", "| workers of each program | sent as | rate | CPU time of an update: gateway, server, mongod |"]
    return [*head, "| ---: | --- | ---: | ---: |", *lines] if lines else []


def _memory(measured: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The memory of each kind of thing."""
    lines = [
        f"| {thing} | {_kib(of_thing['gateway'])} | {_kib(of_thing['server'])} |"
        for thing, of_thing in measured.items()
    ]
    return ["", "| memory of | gateway | server |", "| --- | ---: | ---: |", *lines] if lines else []


def _kib(size: float) -> str:
    return f"{size / 1024:.1f} KiB"
