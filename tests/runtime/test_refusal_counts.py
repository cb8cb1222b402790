import asyncio
from collections.abc import Mapping

import pytest

from runtime import refusal_counts
from runtime.refusal_counts import Counts, Occurrences, RefusalCounts, RefusalKind


class Sent:
    """What is passed on, and how much of it is returned as unsent. Each count takes a second."""

    def __init__(self) -> None:
        self.calls: list[Mapping[str, Counts]] = []
        self.seconds = 0.0
        self.is_failing = False
        self.called = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def send(self, counts: Mapping[str, Counts]) -> Mapping[str, Counts]:
        self.calls.append(counts)
        self.called.set()
        await self.may_end.wait()
        return counts if self.is_failing else {}

    def now(self) -> float:
        self.seconds += 1
        return self.seconds


TOO_LONG = RefusalKind("INVALID_REQUEST", False, "/v1/users", (("user_id", "TOO_LONG"),), "curl/7.88.1")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    monkeypatch.setattr(refusal_counts, "SECONDS", 0.0)
    return Sent()


async def test_counts_are_passed_on_together(sent: Sent) -> None:
    counts = RefusalCounts(sent.send, sent.now)
    for _ in range(3):
        counts.add("a", TOO_LONG)
    counts.add("b", TOO_LONG, 7)
    await sent.called.wait()
    assert sent.calls == [{"a": {TOO_LONG: Occurrences(3, 1, 3)}, "b": {TOO_LONG: Occurrences(7, 4, 4)}}]
    await counts.finished()
    assert len(sent.calls) == 1


async def test_one_call_is_in_flight_at_a_time(sent: Sent) -> None:
    counts = RefusalCounts(sent.send, sent.now)
    sent.may_end.clear()
    counts.add("a", TOO_LONG)
    await sent.called.wait()
    for _ in range(100):
        counts.add("a", TOO_LONG)
        await asyncio.sleep(0)
    assert len(sent.calls) == 1
    sent.may_end.set()
    await counts.finished()
    assert [each["a"][TOO_LONG].count for each in sent.calls] == [1, 100]


async def test_counts_that_could_not_be_passed_on_are_kept(sent: Sent) -> None:
    counts = RefusalCounts(sent.send, sent.now)
    sent.is_failing = True
    counts.add("a", TOO_LONG)
    await sent.called.wait()
    counts.add_all("a", {TOO_LONG: Occurrences(5, 0.5, 9.5)})
    sent.is_failing = False
    await counts.finished()
    assert sent.calls[-1] == {"a": {TOO_LONG: Occurrences(6, 0.5, 9.5)}}


async def test_an_application_has_a_limit_of_kinds_and_takes_none_from_another(sent: Sent) -> None:
    counts = RefusalCounts(sent.send, sent.now)
    for number in range(1_000):
        counts.add("a", TOO_LONG._replace(client_library=f"curl/{number}"))
        counts.add("a", RefusalKind(f"REASON_{number}", True))
    counts.add("b", TOO_LONG)
    await counts.finished()
    (of_both,) = sent.calls
    assert of_both["b"] == {TOO_LONG: Occurrences(1, 2001, 2001)}
    assert len(of_both["a"]) == refusal_counts.REASONS
    by_reason = of_both["a"][RefusalKind("INVALID_REQUEST", False)]
    assert by_reason.count == 1_000 - refusal_counts.KINDS / 2


async def test_applications_have_a_limit(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal_counts, "APPLICATIONS", 2)
    counts = RefusalCounts(sent.send, sent.now)
    for application_id in ("a", "b", "c", "a"):
        counts.add(application_id, TOO_LONG)
    await counts.finished()
    assert {application_id: kinds[TOO_LONG].count for application_id, kinds in sent.calls[0].items()} == {
        "a": 2,
        "b": 1,
    }


async def test_a_program_that_ends_does_not_wait_for_long(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal_counts, "LAST_SECONDS", 0.01)
    counts = RefusalCounts(sent.send, sent.now)
    sent.may_end.clear()
    counts.add("a", TOO_LONG)
    await counts.finished()
    assert len(sent.calls) == 1
