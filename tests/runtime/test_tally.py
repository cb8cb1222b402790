from runtime.tally import KINDS, Tally


async def test_the_first_event_of_a_kind_is_reported_immediately_and_the_remaining_ones_together() -> None:
    reported: list[tuple[str, int]] = []
    tally = Tally[str](lambda kind, count: reported.append((kind, count)))
    for _ in range(300):
        tally.add("a")
    tally.add("b")
    assert reported == [("a", 1), ("b", 1)]
    tally.flush()
    assert reported == [("a", 1), ("b", 1), ("a", 299)]
    tally.add("a")
    assert reported[-1] == ("a", 1)
    tally.flush()
    assert len(reported) == 4


async def test_kinds_are_bounded() -> None:
    reported: list[tuple[int, int]] = []
    tally = Tally[int](lambda kind, count: reported.append((kind, count)))
    for kind in range(KINDS + 5):
        tally.add(kind)
    tally.flush()
    assert len(reported) == KINDS
