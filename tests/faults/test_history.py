"""The checker with histories of a few operations."""

from dataclasses import asdict

import pytest

from tests.faults.history import History, Operation, Outcome, Stored, Verdict, check

A, R, U = Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNKNOWN


def operation(counter: int, *outcomes: Outcome) -> Operation:
    history = History(lambda: 0.0)
    begun = history.begin("p", "u", counter, f"t{counter}", b"%d" % counter)
    for index, outcome in enumerate(outcomes):
        history.settle(begun, outcome, is_first=index == 0)
    return begun


def verdict(outcomes: list[list[Outcome]], aliases: list[int], counter: int | None) -> Verdict:
    sent = [operation(number, *each) for number, each in enumerate(outcomes, 1)]
    return check(sent, {"p": Stored([b"%d" % alias for alias in aliases], counter)} if aliases or counter else {})


def kinds(found: Verdict) -> dict[str, int]:
    return {kind: len(texts) for kind, texts in asdict(found).items() if texts}


@pytest.mark.parametrize(
    ("outcomes", "aliases", "counter", "expected"),
    [
        ([], [], None, {}),
        ([[A], [A]], [1, 2], 2, {}),
        # Unknown outcome: stored or not, late or not.
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
        # Phantoms: refused, never sent, stored twice, stored by half.
        ([[A], [R]], [1, 2], 2, {"phantom": 1}),
        ([[A]], [1, 7], 1, {"phantom": 1}),
        ([[A]], [1, 1], 1, {"phantom": 1}),
        ([[A]], [1], 7, {"phantom": 1}),
        ([[A]], [1], None, {"phantom": 1}),
        ([[A], [U]], [1], 2, {"phantom": 1}),
        ([[A], [R]], [1], 2, {"phantom": 1}),
        # Refused after an unknown outcome: still doubtful.
        ([[A], [U, R]], [1, 2], 2, {}),
    ],
)
def test_stored_profiles_are_checked_against_the_outcomes_of_operations(
    outcomes: list[list[Outcome]], aliases: list[int], counter: int | None, expected: dict[str, int]
) -> None:
    assert kinds(verdict(outcomes, aliases, counter)) == expected


def test_a_profile_without_an_operation_is_a_phantom() -> None:
    assert kinds(check([], {"p": Stored([b"1"], 1)})) == {"phantom": 2}


def test_another_users_alias_is_a_phantom() -> None:
    mine = operation(1, A)
    assert kinds(check([mine], {"p": Stored([b"1"], 1), "q": Stored([b"1"], None)})) == {"phantom": 2}


def test_the_longest_gap_counts_from_the_start_and_to_the_end() -> None:
    moments = iter([1.0, 5.0, 6.0])
    history = History(lambda: next(moments))
    for counter, outcome in enumerate([A, A, R]):
        history.settle(history.begin("p", "u", counter, "t", b""), outcome, is_first=True)
    assert history.longest_gap(0.0, 7.0) == 4.0
    assert history.longest_gap(0.0, 20.0) == 15.0
    assert history.longest_gap(-9.0, 5.5) == 10.0


def _conditional(base: int | None, outcome: Outcome, *, is_rival: bool = False, counter: int = 2) -> Operation:
    sent = operation(counter, outcome)
    sent.base, sent.is_rival = base, is_rival
    return sent


@pytest.mark.parametrize(
    ("base", "outcome", "aliases", "counter", "expected"),
    [
        (1, A, [1, 2], 2, {}),
        (1, R, [1, 3], 1, {}),
        (1, U, [1, 2], 2, {}),
        (1, U, [1], 1, {}),
        # The rival came first, and the other one was applied nevertheless.
        (1, A, [1, 3, 2], 2, {"phantom": 1}),
        (1, U, [1, 3, 2], 2, {"phantom": 1}),
        (1, A, [1, 2, 3], 2, {}),
        (1, A, [1, 3], 1, {"lost": 1, "stale": 1}),
    ],
)
def test_a_conditional_operation_is_applied_to_what_was_read_or_not_at_all(
    base: int, outcome: Outcome, aliases: list[int], counter: int, expected: dict[str, int]
) -> None:
    sent = [operation(1, A), _conditional(base, outcome), _conditional(None, U, is_rival=True, counter=3)]
    assert kinds(check(sent, {"p": Stored([b"%d" % alias for alias in aliases], counter)})) == expected
