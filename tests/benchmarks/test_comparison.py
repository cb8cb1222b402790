"""Rows, ratios and targets of `make bench`."""

import json
import math

import pytest

from benchmarks.comparison.report import document, markdown, results_of
from benchmarks.comparison.rows import ROWS, TITLES, Row
from benchmarks.comparison.steps import Step, in_turn
from benchmarks.runs import Sample

RATE = Row("rate", "a/userfold", ("a/plain",), "rate", 0.95, 1.2)
TIME = Row("time", "a/userfold", ("a/find", "a/echo"), "p50_ms", 1.6, 1.3, "both", limit_ms=8)


def rates(*values: float) -> list[Sample]:
    return [Sample(value, 1, 1) for value in values]


def times(*values: float) -> list[Sample]:
    return [Sample(1, value, 1) for value in values]


@pytest.mark.parametrize(("ours", "met"), [(946, "missed"), (950, "required"), (1199, "required"), (1200, "aim")])
def test_a_rate_meets_what_it_reaches_before_it_is_rounded(ours: float, met: str) -> None:
    [result] = results_of({"a/userfold": rates(ours), "a/plain": rates(1000)}, [RATE])
    assert (result.ratio, result.met) == (round(ours / 1000, 2), met)


@pytest.mark.parametrize(("ours", "met"), [(6.6, "missed"), (6.4, "required"), (5.2, "aim")])
def test_a_time_is_divided_by_the_sum_of_its_peers(ours: float, met: str) -> None:
    [result] = results_of({"a/userfold": times(ours), "a/find": times(1), "a/echo": times(3)}, [TIME])
    assert (result.theirs, result.ratio, result.met) == (4, round(ours / 4, 2), met)


def test_a_time_beyond_its_limit_misses_it_at_any_ratio() -> None:
    [result] = results_of({"a/userfold": times(8.1), "a/find": times(9), "a/echo": times(9)}, [TIME])
    assert result.met == "missed"


def test_a_row_without_a_target_is_neither_met_nor_missed() -> None:
    [result] = results_of({"a/userfold": rates(1), "a/plain": rates(2)}, [Row("", "a/userfold", ("a/plain",), "rate")])
    assert (result.ratio, result.met) == (0.5, None)


def test_the_ratio_is_that_of_medians_and_the_spread_that_of_rounds() -> None:
    [result] = results_of({"a/userfold": rates(10, 40, 20), "a/plain": rates(10, 20, 40)}, [RATE])
    assert (result.ours, result.theirs, result.ratio, result.lowest, result.highest) == (20, 20, 1, 0.5, 2)


def test_a_row_is_shown_when_all_its_samples_are_there() -> None:
    assert not results_of({"a/userfold": times(1), "a/find": times(1)}, [TIME])


def test_the_table_of_the_issue_is_in_the_rows() -> None:
    """The first row of each kind has the targets that were agreed before the run."""
    agreed = {
        ("single/userfold", "single/plain"): (4.0, 5.0),
        ("batch/userfold", "batch/plain_schema"): (0.95, 1.2),
        ("batch/userfold", "batch/bare"): (0.65, 0.85),
        ("rpc/userfold", "rpc/echo"): (0.52, 0.6),
        ("stream/userfold", "batch/bare"): (0.75, 0.9),
        ("latency/userfold", "latency/plain"): (1.15, 1.0),
        ("lookup-1/userfold", "lookup-1/find", "lookup-1/echo"): (1.6, 1.3),
        ("flooded/userfold", "latency/userfold"): (6, 3),
        ("aliases/1000-new", "aliases/10"): (1.3, 1.1),
        ("profiles/many", "profiles/few"): (0.92, 0.97),
    }
    in_code = {(row.key, *row.peers): (row.required, row.aim) for row in ROWS}
    assert {keys: in_code.get(keys) for keys in agreed} == agreed


def test_every_peer_has_a_title() -> None:
    assert not [row for row in ROWS if not row.against and row.peers[0].partition("/")[2] not in TITLES]


def test_what_was_never_served_has_no_percentile_in_the_results_and_the_word_never_in_the_table() -> None:
    sample = Sample(880, 634.6, math.inf, {"plain": 1.0}, offered=1500, refused=20, unsent=600)
    setting = {
        **{"memory": [], "stored": {}, "rounds": 1, "seconds": 1, "profiles": 1, "commit": "c" * 40, "clean": False},
        **{"machine": {"cpu": "a", "cores": 2, "memory_gib": 1}, "date": "2026-01-01", "contenders": {}},
        "versions": {"peers": {}, "packages": {}, "python": "3", "mongod": "6", "node": "1", "wrk": "1"},
    }
    results = document({"offered-1500/plain": [sample]}, setting)
    assert json.loads(json.dumps(results, allow_nan=False))["samples"]["offered-1500/plain"][0]["p99_ms"] is None
    assert "| 1,500/s | FastAPI + Motor | 880/s | 634.6 ms | never | 20/s | 600/s |" in markdown(results)


def test_each_round_starts_with_another_step_and_runs_all_in_the_same_order() -> None:
    steps = [Step(key, lambda _: Sample(1, 1, 1)) for key in "abc"]
    assert ["".join(step.key for step in in_turn(steps, number)) for number in range(4)] == ["abc", "bca", "cab", "abc"]
