"""The results as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST_MILLISECONDS: Final = 250
"""What a wait may pass the quiet run's worst by."""

MOST_MEGABYTES: Final = 600
"""What the server or the gateway may have at its peak."""

HEAD: Final = ("input", "sent", "answered", "worst wait beyond quiet", "wrong answers", "peak: server", "gateway", "")


@dataclass(frozen=True, slots=True)
class Result:
    """What one row did. `waits` has B's worst of each kind of call, in ms; `answers` counts what A was told."""

    answers: Mapping[str, int]
    unexpected: Sequence[str]
    waits: Mapping[str, float]
    beyond: float
    calls: int
    wrong: Mapping[str, int]
    server: int
    gateway: int
    seconds: float
    attacker_cpu: float
    failures: Sequence[str]
    has_waited_too_long: bool = False
    once: float = 0.0
    """What the wait passed the quiet run's worst by in a run that was too slow, where two more were not."""


def row_of(name: str, what: str, result: Result) -> str:
    answers = ", ".join(f"{count:,} x {told}" if count > 1 else told for told, count in result.answers.items())
    wrong = f"{sum(result.wrong.values())} of {result.calls:,}"
    cells = (name, what, answers, f"{result.beyond:.0f} ms", wrong, f"{result.server} MB", f"{result.gateway} MB")
    passed = f"ok, {result.once:.0f} ms in one of three runs" if result.once else "ok"
    return _line(*cells, "; ".join(result.failures) or passed)


def markdown(rows: Sequence[str], results: Sequence[Result], quiet: Mapping[str, float], seconds: float) -> str:
    """All of it, as the results keep it."""
    failed = sum(bool(result.failures) for result in results)
    whole = _line(
        "all",
        f"{len(rows)} inputs in {seconds / 60:.1f} minutes",
        "",
        f"{max((result.beyond for result in results), default=0):.0f} ms",
        f"{sum(sum(result.wrong.values()) for result in results)} of {sum(result.calls for result in results):,}",
        f"{max((result.server for result in results), default=0)} MB",
        f"{max((result.gateway for result in results), default=0)} MB",
        f"{failed} failed" if failed else "ok",
    )
    told = ", ".join(f"{kind} {wait:.0f} ms" for kind, wait in quiet.items())
    head = [_line(*HEAD), _line("---", "---", "---", "---:", "---:", "---:", "---:", "---")]
    return "\n".join([*head, *rows, whole, "", f"The quiet run's worst waits: {told}.", ""])


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
