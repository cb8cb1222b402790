"""What is computed from measured costs: ten million profiles, machines for many updates, memory per item."""

from typing import Any

import pytest

from benchmarks.comparison.scale import BUSY, MACHINE_CORES, by_decades, by_growth, machines, tables
from benchmarks.costs.memory import per_item


def test_a_cost_that_grows_by_the_same_amount_with_each_decade_goes_on_like_that() -> None:
    measured = [(1_000, 100.0), (100_000, 120.0), (1_000_000, 130.0)]
    assert by_decades(10_000_000, measured) == pytest.approx(140)


def test_all_three_measured_costs_count() -> None:
    """The line through 100, 120 and 160 at 3, 4 and 5 decades has the slope 30 and the mean 126.7."""
    assert by_decades(1_000_000, [(1_000, 100), (10_000, 120), (100_000, 160)]) == pytest.approx(380 / 3 + 2 * 30)


def test_bytes_grow_with_each_profile_as_between_the_last_two_sizes() -> None:
    """Files have a first size, which is not that of their profiles."""
    measured = [(1_000, 4e6), (100_000, 30e6), (1_000_000, 300e6)]
    assert by_growth(10_000_000, measured) == pytest.approx(3_000e6)


@pytest.mark.parametrize(
    ("updates", "cores", "stateless", "shards"),
    [(1_000, (0.2, 0.3, 0.4), 1, 1), (10_000, (2.0, 3.0, 4.0), 1, 1), (100_000, (20.0, 30.0, 40.0), 7, 5)],
)
def test_machines_are_those_of_the_cpu_time(
    updates: int, cores: tuple[float, float, float], stateless: int, shards: int
) -> None:
    assert (BUSY, MACHINE_CORES) == (0.6, 8)
    needed = machines(updates, {"gateway": 120, "server": 180, "mongod": 240, "load": 1000})
    assert (needed["gateway"], needed["server"], needed["mongod"]) == pytest.approx(cores)
    assert (needed["stateless"], needed["shards"]) == (stateless, shards)


def test_the_tables_hold_the_measured_values_and_the_computed_ones() -> None:
    results = results_of_three_sizes()
    table = "\n".join(tables(results))
    assert "| 1,000 | 3,000/s (1.00) | 100, 150, 200 us | 500 bytes | 250 bytes |" in table
    assert "| 10,000,000, computed | 2,200/s (0.73) | 100, 150, 240 us | 500 bytes | 250 bytes |" in table
    assert "| 100,000 | one update per request | 16.7, 25.0, 36.7 | 6 | 5 |" in table
    assert "are 2.3 GiB, their data 4.7 GiB" in table


def test_without_samples_there_are_no_tables() -> None:
    assert tables({"samples": {}, "stored": {}}) == []


def results_of_three_sizes() -> dict[str, Any]:
    counts = {"profiles/few": 1_000, "profiles/tenth": 100_000, "profiles/many": 1_000_000}

    def sample(rate: float, mongod: float) -> list[dict[str, Any]]:
        return [{"rate": rate, "cpu_us": {"gateway": 100.0, "server": 150.0, "mongod": mongod}}]

    return {
        "machine": {"mongod_cache": "11540M"},
        "stored": {
            key: {"profiles": count, "data_bytes": 500 * count, "index_bytes": 250 * count}
            for key, count in counts.items()
        },
        "samples": {
            "single/userfold": sample(3_000, 220),
            "batch/userfold": sample(9_000, 110),
            "profiles/few": sample(3_000, 200),
            "profiles/tenth": sample(2_600, 220),
            "profiles/many": sample(2_400, 230),
        },
    }


def test_memory_is_that_of_the_items_that_were_added() -> None:
    before, after = {"gateway": 1_000, "server": 2_000}, {"gateway": 5_000, "server": 2_000}
    assert per_item(before, after, 100) == {"gateway": 40, "server": 0}
