from runtime.tally import EXAMPLES, KINDS, Tally


async def test_the_first_event_of_a_kind_is_reported_immediately_and_the_remaining_ones_together() -> None:
    reported: list[tuple[str, int, list[int]]] = []
    tally = Tally[str, int](lambda *event: reported.append(event), lambda _: None)
    for number in range(300):
        tally.add("a", 1, number)
    tally.add("b", 2, 300)
    assert reported == [("a", 1, [0]), ("b", 2, [300])]
    tally.flush()
    assert reported[2:] == [("a", 299, list(range(1, EXAMPLES + 1)))]
    tally.add("a", 1, 301)
    assert reported[-1] == ("a", 1, [301])
    tally.flush()
    assert len(reported) == 4


async def test_kinds_are_bounded_and_the_rest_is_counted() -> None:
    reported: list[int] = []
    rest: list[int] = []
    tally = Tally[int, None](lambda kind, _count, _examples: reported.append(kind), rest.append)
    for kind in range(KINDS + 5):
        tally.add(kind, 2, None)
    tally.flush()
    assert (len(reported), rest) == (KINDS, [10])
    tally.flush()
    assert rest == [10]
