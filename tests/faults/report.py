"""The results as tables."""

from collections.abc import Mapping, Sequence

from tests.faults.faults import FAULTS, Fault
from tests.faults.trial import Result

_HEAD = """\
| fault | what happens | operations | acknowledged | unknown | refused | lost | stale | phantom | late | longest gap | after a new primary |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def fault_row(fault: Fault, result: Result) -> str:
    verdict = result.verdict
    counts = (result.operations, result.acknowledged, result.unknown, result.refused)
    findings = (verdict.lost, verdict.stale, verdict.phantom, verdict.late)
    after = "" if result.after_primary is None else f"{result.after_primary:.1f} s"
    cells = [fault.name, fault.what, *(f"{count:,}" for count in counts), *(f"{len(each):,}" for each in findings)]
    return f"| {' | '.join(cells)} | {result.longest_gap:.1f} s | {after} |"


def markdown(found: Mapping[str, Result], bugs: Mapping[str, Sequence[str]], seconds: float) -> str:
    """All of it, as the results keep it."""
    rows = [fault_row(fault, found[fault.name]) for fault in FAULTS if fault.name in found]
    results = found.values()
    totals = [sum(each) for each in zip(*(_counts(result) for result in results), strict=True)] or [0] * 8
    whole = f"| all | {len(rows)} faults in {seconds / 60:.0f} minutes | {' | '.join(f'{each:,}' for each in totals)} | | |"
    seeded = [f"| {bug} | {', '.join(findings) or 'NOT FOUND'} |" for bug, findings in bugs.items()]
    return "\n".join([_HEAD, *rows, whole, "", "| a bug put in on purpose | found |", "| --- | --- |", *seeded, ""])


def _counts(result: Result) -> Sequence[int]:
    verdict = result.verdict
    findings = (verdict.lost, verdict.stale, verdict.phantom, verdict.late)
    return (result.operations, result.acknowledged, result.unknown, result.refused, *map(len, findings))
