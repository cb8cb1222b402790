"""Durations that are observed a little later: all of them, each for its histogram."""

from prometheus_client import CollectorRegistry, Histogram

from runtime.observations import Observations
from tests.support.waiting import turns


async def test_durations_are_observed_in_the_next_turn() -> None:
    registry = CollectorRegistry()
    one, other = (Histogram(name, "Seconds.", registry=registry, buckets=(1.0,)) for name in ("one", "other"))
    observations = Observations()
    observations.add(one, 0.5)
    observations.add(other, 2.0)
    observations.add(one, 3.0)
    assert registry.get_sample_value("one_count") == 0
    await turns(1)
    found = {name: registry.get_sample_value(name) for name in ("one_count", "one_sum", "other_count", "other_sum")}
    assert found == {"one_count": 2, "one_sum": 3.5, "other_count": 1, "other_sum": 2.0}
    assert registry.get_sample_value("one_bucket", {"le": "1.0"}) == 1
    observations.add(other, 1.0)
    await turns(1)
    assert registry.get_sample_value("other_count") == 2
