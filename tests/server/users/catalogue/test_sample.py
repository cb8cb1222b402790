"""The sample of an application: any user is as likely in it as any other, and its density says how many there are."""

from bisect import bisect_left
from collections.abc import Sequence

import pytest

from server.users.catalogue.sample import SAMPLE_USERS, SamplePlan, estimated, plan_sample
from server.users.ids import profile_id, visitor_id

_USERS = 30_000


@pytest.fixture(scope="module")
def ids() -> Sequence[tuple[str, int]]:
    """The `_id`s of users who were numbered as they came, in their order, with the number of each."""
    return sorted((profile_id("app", f"user-{number}"), number) for number in range(_USERS))


def sampled(ids: Sequence[tuple[str, int]], plan: SamplePlan, users: int = SAMPLE_USERS) -> Sequence[tuple[str, int]]:
    """The users of a sample, as a database returns them."""
    found: list[tuple[str, int]] = []
    for first, end in plan.ranges:
        found += ids[bisect_left(ids, (first, 0)) : bisect_left(ids, (end, 0))]
    assert len(found) == len(ids)
    return found[:users]


def test_the_ranges_hold_each_user_once_and_nothing_else() -> None:
    plan = plan_sample("app", b"secret")
    known = [profile_id("app", str(number)) for number in range(200)]
    others = [visitor_id("app", "v"), profile_id("ap", "u"), profile_id("app2", "u")]
    for key in (*known, *others):
        assert sum(first <= key < end for first, end in plan.ranges) == (key in known)


def test_a_sample_has_a_secret_start_of_its_application() -> None:
    starts = {plan_sample(application, secret).start for application in ("a", "b") for secret in (b"1", b"2")}
    assert len(starts) == 4
    assert plan_sample("a", b"1") == plan_sample("a", b"1")


def test_a_sample_has_no_bias(ids: Sequence[tuple[str, int]]) -> None:
    # Of each tenth of the users, by the time at which they came, and by what repeats among their numbers.
    def tenth(number: int) -> int:
        return number * 10 // _USERS

    def last_digit(number: int) -> int:
        return number % 10

    for share in (tenth, last_digit):
        chi_squared = []
        for secret in range(40):
            counts = [0] * 10
            for _, number in sampled(ids, plan_sample("app", bytes([secret]))):
                counts[share(number)] += 1
            chi_squared.append(sum((count - 200) ** 2 / 200 for count in counts))
        # Nine degrees of freedom: the mean is 9, and that of 40 samples has a standard error of 0.67. It is less
        # where a sample is a part of all without replacement.
        assert sum(chi_squared) / 40 == pytest.approx(9 * (1 - SAMPLE_USERS / _USERS), abs=2.5)


@pytest.mark.parametrize(("users", "error"), [(2_000, 0.1), (200, 0.3)])
def test_the_number_of_users_is_estimated_from_the_density(
    ids: Sequence[tuple[str, int]], users: int, error: float
) -> None:
    estimates = []
    for secret in range(40):
        plan = plan_sample("app", bytes([secret]))
        estimates.append(plan.estimate(users, sampled(ids, plan, users)[-1][0]))
    assert all(abs(estimate - _USERS) < error * _USERS for estimate in estimates)
    assert sum(estimates) / 40 == pytest.approx(_USERS, rel=error / 5)


def test_an_estimate_is_never_less_than_what_was_counted() -> None:
    plan = SamplePlan("app", "8" + "0" * 14)
    assert plan.estimate(1, "app/u/" + "9" * 64) == 1
    assert plan.estimate(2, "app/u/" + "8" + "0" * 63) == 2
    # The sample goes round the circle, nearly to its start.
    assert plan.estimate(1_000, "app/u/" + "7" + "f" * 63) == 1_000


def test_an_estimate_has_three_digits() -> None:
    assert [estimated(number, 0) for number in (0, 7.4, 999.6, 1_234.5, 1_000_499)] == [0, 7, 1_000, 1_230, 1_000_000]
    assert estimated(1_234, 1_234) == 1_234
