"""The results as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MAX_DELAY_MS: Final = 250
"""By which a wait may exceed the longest wait of the quiet run."""

MAX_MEGABYTES: Final = 600
"""The limit for the peak memory of the server and of the gateway."""

HEAD: Final = ("input", "sent", "answered", "worst wait beyond quiet", "wrong answers", "peak: server", "gateway", "")


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one row: B's longest wait of each kind of call in ms, the number of each response, and more."""

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
    """The delay of a first run that was too slow, if two more runs were not."""


def row_of(name: str, what: str, result: Result) -> str:
    answers = ", ".join(f"{count:,} x {answer}" if count > 1 else answer for answer, count in result.answers.items())
    wrong = f"{sum(result.wrong.values())} of {result.calls:,}"
    cells = (name, what, answers, f"{result.beyond:.0f} ms", wrong, f"{result.server} MB", f"{result.gateway} MB")
    passed = f"ok, {result.once:.0f} ms in one of three runs" if result.once else "ok"
    return _line(*cells, "; ".join(result.failures) or passed)


def markdown(rows: Sequence[str], results: Sequence[Result], quiet: Mapping[str, float], seconds: float) -> str:
    """The table, with a row for the total."""
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
    waits = ", ".join(f"{kind} {wait:.0f} ms" for kind, wait in quiet.items())
    head = [_line(*HEAD), _line("---", "---", "---", "---:", "---:", "---:", "---:", "---")]
    return "\n".join([*head, *rows, whole, "", f"The quiet run's worst waits: {waits}.", ""])


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
