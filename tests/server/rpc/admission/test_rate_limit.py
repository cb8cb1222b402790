"""Rate limits: tokens, bursts and debts."""

import pytest

from server.errors import RateLimited
from server.rpc.admission.rate_limit import BURST_SECONDS, TokenBuckets


def test_a_bucket_fills_up_to_its_burst_and_admits_nothing_before_a_debt_is_paid() -> None:
    now = [0.0]
    buckets = TokenBuckets(100, lambda: now[0])
    now[0] = 1000.0
    buckets.require("a")
    buckets.take("a", int(100 * BURST_SECONDS) + 50)
    with pytest.raises(RateLimited) as limited:
        buckets.require("a")
    assert limited.value.seconds == pytest.approx(0.51)
    buckets.require("b")
    now[0] += 0.52
    buckets.require("a")


def test_a_rate_of_zero_limits_nothing() -> None:
    buckets = TokenBuckets(0, lambda: 0.0)
    buckets.take("a", 10**9)
    buckets.require("a")
    assert buckets.seconds("a") == 0
