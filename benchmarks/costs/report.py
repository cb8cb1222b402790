"""The tables of `make costs`."""

from collections.abc import Mapping
from typing import Any

from benchmarks.costs.exchanges import MESSAGE_BYTES, PAUSE_SECONDS
from benchmarks.costs.groups import SIZES


def markdown(results: Mapping[str, Any]) -> str:
    """One table for each run, one of the exchanges, and one of the groups."""
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
    shared = f"{about['cpu']}, {about['cores']} cores shared by all, the load included"
    return "\n".join([*lines, "", f"{shared}; {results['date']}.", ""])
