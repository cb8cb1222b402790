"""The table of `make overload`."""

from collections.abc import Mapping
from typing import Any

from benchmarks.environment.versions import described
from benchmarks.overload.measure import INTERFACES, MIN_SHARE


def markdown(results: Mapping[str, Any]) -> str:
    """The table of the results of `measure` for each interface."""
    measured = [
        (interface, results["interfaces"][interface.name])
        for interface in INTERFACES
        if interface.name in results["interfaces"]
    ]
    titles = " | ".join(interface.title for interface, _ in measured)
    columns = [_column(of_interface) for _, of_interface in measured]
    rows = [f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in columns[0]]
    lines = [f"| measure | {titles} |", f"| --- |{' --- |' * len(measured)}", *rows, ""]
    machine = results["machine"]
    shared = f"{machine['cpu']}, {machine['cores']} cores shared by all, the load included, {machine['memory_gib']} GiB"
    return "\n".join([*lines, f"{shared}; {described(results)}{results['date']}.", ""])


def shares_of(phase: Mapping[str, Any]) -> dict[str, float]:
    """Of all requests that were due in a phase, the shares that were accepted, refused and never sent."""
    counts = {"accepted": 0, "refused": 0, **phase["outcomes"], "unsent": phase["unsent"]}
    return {name: count / sum(counts.values()) for name, count in counts.items()}


def _column(measured: Mapping[str, Any]) -> dict[str, str]:
    over, after, memory = measured["overload"], measured["after"], measured["memory_mb"]
    met = "met" if measured["share"] >= MIN_SHARE else "**missed**"
    shares = {name: f"{share:.0%} of what was due" for name, share in shares_of(over).items()}
    refused = f"{over['refused']:,.0f}/s, {shares['refused']}, p99 {over['refused_p99_ms']:.0f} ms"
    cores = ", ".join(f"{name} {share:.2f}" for name, share in over["cores"].items())
    highest = [
        f"{name} {memory['highest'][name]:.0f} MB ({before:.0f} before)" for name, before in memory["before"].items()
    ]
    return {
        "peak of accepted updates": f"{measured['peak']:,.0f}/s",
        "offered": f"{over['offered']:,.0f}/s for {over['seconds']:g} s",
        "never sent, because no connection was free": f"{over['unsent'] / over['seconds']:,.0f}/s, {shares['unsent']}",
        "refused": refused if over["refused"] else "none",
        "accepted": f"{over['goodput']:,.0f}/s, {shares['accepted']}",
        "accepted, share of the peak": f"**{measured['share']:.2f}** (>= {MIN_SHARE}: {met})",
        "latency of accepted updates": f"p50 {over['p50_ms']:.0f} ms, p99 {over['p99_ms']:.0f} ms",
        "highest resident memory": ", ".join(highest),
        "cores used": cores,
        "last refusal after the load fell to half of the peak": f"{measured['recovered_after_s']:.2f} s",
        "latency after that": f"p50 {after['p50_ms']:.0f} ms, p99 {after['p99_ms']:.0f} ms",
    }
