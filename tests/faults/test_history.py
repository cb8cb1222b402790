"""The checker on histories of a few operations."""

import pytest

from tests.faults.history import History, Operation, Outcome, Stored, Verdict, judge

A, R, U = Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNKNOWN


def operation(counter: int, *told: Outcome) -> Operation:
    history = History(lambda: 0.0)
    begun = history.begin("p", "u", counter, f"t{counter}", b"%d" % counter)
    for index, outcome in enumerate(told):
        history.settle(begun, outcome, is_first=index == 0)
    return begun


def verdict(told: list[list[Outcome]], aliases: list[int], counter: int | None) -> Verdict:
    sent = [operation(number, *each) for number, each in enumerate(told, 1)]
    return judge(sent, {"p": Stored([b"%d" % alias for alias in aliases], counter)} if aliases or counter else {})


def kinds(found: Verdict) -> dict[str, int]:
    counts = {"lost": found.lost, "stale": found.stale, "phantom": found.phantom, "late": found.late}
    return {kind: len(texts) for kind, texts in counts.items() if texts}


@pytest.mark.parametrize(
    ("told", "aliases", "counter", "expected"),
    [
        ([], [], None, {}),
        ([[A], [A]], [1, 2], 2, {}),
        # Of unknown outcome: there or not, late or not.
        ([[A], [U]], [1], 1, {}),
        ([[A], [U]], [1, 2], 2, {}),
        ([[U], [A]], [2], 2, {}),
        ([[U], [A]], [2, 1], 1, {"late": 1}),
        ([[U, A], [A]], [1, 2], 1, {"late": 1}),
        ([[A], []], [1, 2], 2, {}),
        ([[R], [A]], [2], 2, {}),
        # Lost.
        ([[A]], [], None, {"lost": 1}),
        ([[A], [A], [A]], [1, 3], 3, {"lost": 1}),
        ([[U, A]], [], None, {"lost": 1}),
        ([[A, U]], [], None, {"lost": 1}),
        # Stale.
        ([[A], [A]], [1, 2], 1, {"stale": 1}),
        ([[A], [A]], [2, 1], 2, {"stale": 1}),
        ([[A], [A], [U]], [1, 2, 3], 1, {"stale": 1}),
        # Phantoms: refused, never sent, twice, by half.
        ([[A], [R]], [1, 2], 2, {"phantom": 1}),
        ([[A]], [1, 7], 1, {"phantom": 1}),
        ([[A]], [1, 1], 1, {"phantom": 1}),
        ([[A]], [1], 7, {"phantom": 1}),
        ([[A]], [1], None, {"phantom": 1}),
        ([[A], [U]], [1], 2, {"phantom": 1}),
        ([[A], [R]], [1], 2, {"phantom": 1}),
        # Refused after a doubt is still in doubt.
        ([[A], [U, R]], [1, 2], 2, {}),
    ],
)
def test_what_is_stored_is_judged_by_what_clients_were_told(
    told: list[list[Outcome]], aliases: list[int], counter: int | None, expected: dict[str, int]
) -> None:
    assert kinds(verdict(told, aliases, counter)) == expected


def test_a_profile_that_nobody_updated_is_a_phantom() -> None:
    assert kinds(judge([], {"p": Stored([b"1"], 1)})) == {"phantom": 2}


def test_another_users_alias_is_a_phantom() -> None:
    mine = operation(1, A)
    assert kinds(judge([mine], {"p": Stored([b"1"], 1), "q": Stored([b"1"], None)})) == {"phantom": 2}


def test_the_longest_gap_counts_from_the_start_and_to_the_end() -> None:
    moments = iter([1.0, 5.0, 6.0])
    history = History(lambda: next(moments))
    for counter, outcome in enumerate([A, A, R]):
        history.settle(history.begin("p", "u", counter, "t", b""), outcome, is_first=True)
    assert history.longest_gap(0.0, 7.0) == 4.0
    assert history.longest_gap(0.0, 20.0) == 15.0
    assert history.longest_gap(-9.0, 5.5) == 10.0
