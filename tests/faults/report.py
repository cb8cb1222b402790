"""The results as tables."""

from collections.abc import Mapping, Sequence

from tests.faults.faults import FAULTS, Fault
from tests.faults.trial import Result

_COUNTS = ("operations", "acknowledged", "unknown", "refused", "merged", "lost", "stale", "phantom", "cycle", "late")
_TIMES = ("longest gap", "after a new primary", "MongoDB's own part")


def fault_row(fault: Fault, result: Result) -> str:
    times = (result.longest_gap, result.after_primary, result.majority_after)
    shown = ["" if each is None else f"{each:.1f} s" for each in times]
    return _line(fault.name, fault.what, *(f"{count:,}" for count in _counts(result)), *shown)


def markdown(found: Mapping[str, Result], bugs: Mapping[str, Sequence[str]], seconds: float) -> str:
    """The tables of faults and of seeded bugs."""
    rows = [fault_row(fault, found[fault.name]) for fault in FAULTS if fault.name in found]
    totals = [sum(each) for each in zip(*map(_counts, found.values()), strict=True)]
    what = f"{len(rows)} faults in {seconds / 60:.0f} minutes"
    whole = _line("all", what, *(f"{total:,}" for total in totals), *[""] * len(_TIMES))
    head = [_line("fault", "what happens", *_COUNTS, *_TIMES)]
    head.append(_line("---", "---", *["---:"] * (len(_COUNTS) + len(_TIMES))))
    seeded = [_line(bug, ", ".join(findings) or "NOT FOUND") for bug, findings in bugs.items()]
    return "\n".join(
        [*head, *rows, whole, "", _line("a bug put in on purpose", "found"), _line("---", "---"), *seeded, ""]
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _counts(result: Result) -> Sequence[int]:
    verdict = result.verdict
    findings = (verdict.lost, verdict.stale, verdict.phantom, verdict.cycle, verdict.late)
    counts = (result.operations, result.acknowledged, result.unknown, result.refused, result.merged)
    return (*counts, *map(len, findings))
