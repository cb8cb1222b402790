"""`python -m tests.stalls`: send every expensive input, and time the calls of another application meanwhile.

Exits with 1 where a row fails. The results go to build/, or with --publish to results/.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.stalls.report import MAX_DELAY_MS, MAX_MEGABYTES, Result, markdown, row_of
from tests.stalls.rows.row import Row
from tests.stalls.rows.table import ROWS
from tests.stalls.stack import Stack, now

_RESULTS = Path(__file__).parent / "results"
_BUILD = Path(__file__).parents[2] / "build"
_QUIET_SECONDS = 6.0
_AFTER_SECONDS = 0.4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stalls", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--publish", action="store_true", help="write the results into the repository, not into build/")
    options = parser.parse_args()
    if options.publish and options.only:
        parser.error("only a whole run can be published")
    chosen = options.only or list(ROWS)
    if unknown := {*chosen} - {*ROWS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    _BUILD.mkdir(exist_ok=True)
    started = time.monotonic()
    results: dict[str, Result] = {}
    lines = []
    with tempfile.TemporaryDirectory(prefix="stalls-", dir=_BUILD) as name, Stack(Path(name)) as stack:
        quiet = _quiet(stack)
        for each in chosen:
            row = ROWS[each]
            result = results[each] = _confirmed(stack, row, quiet)
            lines.append(row_of(row.name, row.what, result))
            print(lines[-1], file=sys.stderr, flush=True)
            for problem, count in list(result.wrong.items())[:3]:
                print(f"  B: {count} x {problem}", file=sys.stderr)
            if result.failures:
                stack.restart()
    table = markdown(lines, list(results.values()), quiet, time.monotonic() - started)
    print(table)
    kept = _RESULTS if options.publish else _BUILD / "stalls"
    kept.mkdir(exist_ok=True)
    (kept / "latest.md").write_text(table)
    shown: dict[str, Any] = {"quiet": quiet, "rows": {name: asdict(result) for name, result in results.items()}}
    (kept / "latest.json").write_text(json.dumps(shown, indent=1) + "\n")
    return 1 if any(result.failures for result in results.values()) else 0


def _quiet(stack: Stack) -> Mapping[str, float]:
    """The longest wait of each kind of call, in ms, while only B sends."""
    victim = stack.victim()
    victim.send("go")
    time.sleep(_QUIET_SECONDS)
    victim.send("stop")
    measured = victim.result()
    assert not measured["wrong"], measured["wrong"]
    worst = _worst(measured["waits"])
    middle = 1000 * statistics.median(seconds for _, _, seconds in measured["waits"])
    print(f"quiet: {len(measured['waits'])} calls, median {middle:.1f} ms, worst {worst}", file=sys.stderr, flush=True)
    return worst


def _worst(waits: list[tuple[str, float, float]]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for kind, _, seconds in waits:
        worst[kind] = max(worst.get(kind, 0.0), round(1000 * seconds, 1))
    return worst


def _confirmed(stack: Stack, row: Row, quiet: Mapping[str, float]) -> Result:
    """The result of a row. If only a wait was too long, the slower of two more runs, both of which must pass.

    The disk, or another program of the machine, delays all calls now and then. A defect of ours shows again.
    """
    result = _run(stack, row, quiet)
    if not (result.has_waited_too_long and len(result.failures) == 1):
        return result
    repeated = []
    for _ in range(2):
        stack.restart()
        repeated.append(_run(stack, row, quiet))
        if repeated[-1].failures:
            return repeated[-1]
    return replace(max(repeated, key=lambda each: each.beyond), once=result.beyond)


def _run(stack: Stack, row: Row, quiet: Mapping[str, float]) -> Result:
    """Send the input of the row, and time the calls of B."""
    victim = stack.victim()
    attacker = stack.attacker(row.name, row.of, until_stopped=bool(row.flood))
    try:
        stack.reset_peaks()
        started = now()
        if not row.flood:
            victim.send("go")
            time.sleep(0.1)
            started = now()
        attacker.send("go")
        if row.flood:
            victim.send(f"flood {row.flood}")
            measured = victim.result()
            attacker.send("stop")
            sent = attacker.result()
        else:
            sent = attacker.result()
            time.sleep(_AFTER_SECONDS)
            victim.send("stop")
            measured = victim.result()
    finally:
        attacker.kill()
    return _result(stack, row, quiet, sent, measured, started)


def _result(stack: Stack, row: Row, quiet: Mapping[str, float], sent: Any, measured: Any, started: float) -> Result:
    waits = [wait for wait in measured["waits"] if wait[1] >= started] if not row.flood else []
    worst = _worst(waits)
    # Compared with the longest wait of any kind in the quiet run, as a kind may have been fast there by chance.
    beyond = max((wait - max(quiet.values()) for wait in worst.values()), default=0.0)
    unexpected = [answer for answer in sent["answers"] if answer.split()[0] not in row.may or "INTERNAL" in answer]
    unexpected += [answer for answer in sent["answers"] if answer in ("429", "RESOURCE_EXHAUSTED")]
    peaks = stack.peaks()
    failures = []
    if unexpected:
        failures.append(f"A was answered {', '.join(unexpected)}")
    if beyond > MAX_DELAY_MS:
        slow = max(worst, key=lambda kind: worst[kind])
        failures.append(f"{slow} waited {worst[slow]:.0f} ms")
    if measured["wrong"]:
        failures.append("wrong answers")
    if row.flood and (missing := row.flood - _flooded(stack)):
        failures.append(f"{missing:,} of {row.flood:,} not stored")
    failures += [f"{name} had {peak} MB" for name, peak in peaks.items() if peak > MAX_MEGABYTES]
    if not stack.are_running():
        failures.append("a program ended")
    return Result(
        answers=sent["answers"],
        unexpected=unexpected,
        waits=worst,
        beyond=max(0.0, beyond),
        calls=len(waits) or row.flood,
        wrong=measured["wrong"],
        server=peaks["server"],
        gateway=peaks["gateway"],
        seconds=sent["seconds"],
        attacker_cpu=sent["own_cpu"],
        failures=failures,
        has_waited_too_long=beyond > MAX_DELAY_MS,
    )


def _flooded(stack: Stack) -> int:
    """The number of B's stored users of a flood. They are deleted, for the next flood."""
    mine = {"application_id": stack.application("B").application_id, "user_id": {"$regex": "^flood-"}}
    return stack.database.profiles.delete_many(mine).deleted_count


if __name__ == "__main__":
    sys.exit(main())
