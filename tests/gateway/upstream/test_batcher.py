"""The groups of the gateway, over a sender that records them: their items, their order, and the result of each item."""

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.upstream.batcher import Batcher, Limits, NotAnsweredInTime, NotSentInTime, QueueFull
from tests.support.waiting import later, turns


class FakeSender:
    """Keeps each group, and answers it when `go` is called: each item in upper case, or what `failure` says."""

    def __init__(self) -> None:
        self.groups: list[tuple[str, list[bytes]]] = []
        self.seconds: list[float] = []
        self.failure: Exception | None = None
        self.missing = 0
        self._held: list[asyncio.Event] = []

    async def send(self, key: str, items: Sequence[bytes], seconds: float) -> Sequence[bytes]:
        self.groups.append((key, list(items)))
        self.seconds.append(seconds)
        self._held.append(held := asyncio.Event())
        await held.wait()
        if self.failure:
            raise self.failure
        return [item.upper() for item in items][self.missing :]

    def go(self) -> None:
        self._held.pop(0).set()


def batcher_of(sender: FakeSender, **limits: Any) -> Batcher[str, bytes, bytes]:
    return Batcher(sender.send, Limits(**{"seconds": 5.0, "quiet_items": 0} | limits))


async def result(batcher: Batcher[str, bytes, bytes], key: str, data: bytes) -> bytes:
    """The result of one item."""
    settled: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def settle(outcome: bytes | Exception) -> None:
        if isinstance(outcome, Exception):
            settled.set_exception(outcome)
        else:
            settled.set_result(outcome)

    batcher.submit(key, len(data), lambda: made(data), settle)
    return await settled


def made(data: bytes) -> bytes:
    """What is sent of an item: what is "unfit" cannot be made."""
    if data == b"unfit":
        raise ValueError
    return data


def ask(batcher: Batcher[str, bytes, bytes], *items: bytes, key: str = "k") -> list[asyncio.Task[bytes]]:
    return [asyncio.ensure_future(result(batcher, key, item)) for item in items]


async def finish(sender: FakeSender, *asked: asyncio.Task[bytes]) -> list[Any]:
    """The outcomes of all, letting each group go as it comes."""
    while not all(each.done() for each in asked):
        if sender._held:
            sender.go()
        await asyncio.sleep(0)
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_a_lone_item_is_sent_without_any_wait() -> None:
    sender = FakeSender()
    asked = ask(batcher_of(sender), b"a")
    await turns(3)  # Its task, the end of the turn in which it came, the group's task.
    assert sender.groups == [("k", [b"a"])]
    assert await finish(sender, *asked) == [b"A"]


async def test_while_few_items_are_in_flight_none_waits_for_another() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, quiet_items=3, quiet_groups=3, groups=1)
    asked: list[asyncio.Task[bytes]] = []
    for item in (b"a", b"b", b"c", b"d"):
        asked += ask(batcher, item)
        await turns()
    # The fourth is one too many: it waits until no group is in flight.
    assert sender.groups == [("k", [b"a"]), ("k", [b"b"]), ("k", [b"c"])]
    await finish(sender, *asked)
    assert sender.groups[3:] == [("k", [b"d"])]


async def test_no_more_groups_than_allowed_are_in_flight_while_there_are_few_items() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, quiet_items=3, quiet_groups=2, groups=1)
    asked: list[asyncio.Task[bytes]] = []
    for item in (b"a", b"b", b"c"):
        asked += ask(batcher, item)
        await turns()
    assert sender.groups == [("k", [b"a"]), ("k", [b"b"])]
    await finish(sender, *asked)


async def test_items_of_one_turn_of_the_loop_are_one_group_in_their_order() -> None:
    sender = FakeSender()
    asked = ask(batcher_of(sender), b"a", b"b", b"c")
    assert await finish(sender, *asked) == [b"A", b"B", b"C"]
    assert sender.groups == [("k", [b"a", b"b", b"c"])]


async def test_items_that_arrive_while_all_groups_are_in_flight_are_the_next_group() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender)
    asked = []
    for items in ([b"a"], [b"b"], [b"c"], [b"d", b"e"]):
        asked += ask(batcher, *items)
        await turns()
    assert sender.groups == [("k", [b"a"]), ("k", [b"b"])]
    sender.go()
    await turns()
    assert sender.groups[2:] == [("k", [b"c", b"d", b"e"])]
    assert await finish(sender, *asked) == [b"A", b"B", b"C", b"D", b"E"]


async def test_different_keys_never_share_a_group_and_do_not_wait_for_each_other() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, groups=1)
    asked = ask(batcher, b"a") + ask(batcher, b"b", key="other") + ask(batcher, b"c")
    await turns()
    assert sender.groups == [("k", [b"a", b"c"]), ("other", [b"b"])]
    await finish(sender, *asked)


async def test_nothing_is_kept_of_a_key_that_is_idle() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, groups=1)
    asked = [each for key in "abc" for each in ask(batcher, b"1", b"2", key=key)]
    await finish(sender, *asked)
    await turns()
    assert (batcher._by_key, batcher.tasks) == ({}, set())
    assert (batcher.queued_items, batcher.queued_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("limits", "items", "groups"),
    [
        ({"group_items": 2}, [b"a", b"b", b"c", b"d", b"e"], [[b"a", b"b"], [b"c", b"d"], [b"e"]]),
        ({"group_bytes": 5}, [b"aaa", b"bb", b"c", b"dddd"], [[b"aaa", b"bb"], [b"c", b"dddd"]]),
        ({"group_bytes": 2}, [b"a", b"larger", b"b", b"c"], [[b"a"], [b"larger"], [b"b", b"c"]]),
    ],
)
async def test_a_group_has_its_limits(limits: dict[str, int], items: list[bytes], groups: list[list[bytes]]) -> None:
    sender = FakeSender()
    asked = ask(batcher_of(sender, **limits), *items)
    assert await finish(sender, *asked) == [item.upper() for item in items]
    assert [sent for _, sent in sender.groups] == groups


@pytest.mark.parametrize("limits", [{"queued_items": 2}, {"queued_bytes": 2}])
async def test_an_item_without_room_is_refused_immediately(limits: dict[str, int]) -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, groups=1, **limits)
    asked = ask(batcher, b"a")
    await turns()
    asked += ask(batcher, b"b", b"c", key="k")
    refused = ask(batcher, b"d", key="other")
    await turns(2)
    assert isinstance(refused[0].exception(), QueueFull)
    assert await finish(sender, *asked) == [b"A", b"B", b"C"]
    assert await finish(sender, *ask(batcher, b"d")) == [b"D"]


async def test_an_item_that_expires_while_it_is_queued_is_not_sent() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, groups=1, seconds=100)
    (sent,) = ask(batcher, b"a")
    await turns()
    (waiting,) = ask(batcher, b"b")
    await later(50)
    assert (sent.done(), waiting.done()) == (False, False)
    await later(60)
    assert isinstance(sent.exception(), NotAnsweredInTime)
    assert isinstance(waiting.exception(), NotSentInTime)
    fresh = ask(batcher, b"c")
    assert await finish(sender, *fresh) == [b"C"]
    assert sender.groups == [("k", [b"a"]), ("k", [b"c"])]


async def test_each_item_of_a_group_has_its_own_deadline_and_the_group_that_of_the_last() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, groups=1, seconds=200)
    first = ask(batcher, b"-")
    await turns()
    early = ask(batcher, b"a")
    await later(100)
    late = ask(batcher, b"b")
    await turns()
    sender.go()
    await turns()
    assert sender.groups[1:] == [("k", [b"a", b"b"])]
    assert 150 < sender.seconds[1] <= 200
    await later(150)
    assert isinstance(early[0].exception(), NotAnsweredInTime)
    assert not late[0].done()
    assert await finish(sender, *first, *late) == [b"-", b"B"]


async def test_items_expire_in_their_order() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, groups=1, seconds=200)
    asked = []
    for item in (b"a", b"b", b"c"):
        asked += ask(batcher, item)
        await later(50)
    done = []
    for _ in range(5):
        done.append([each.done() for each in asked].count(True))
        await later(50)
    assert done == [0, 1, 2, 3, 3]
    assert [type(each.exception()) for each in asked] == [NotAnsweredInTime, NotSentInTime, NotSentInTime]


async def test_nothing_is_kept_of_settled_items() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender)
    for _ in range(3):
        await finish(sender, *ask(batcher, b"a", b"b"))
        await turns()
        assert not batcher._unsettled


async def test_a_group_is_sent_even_if_every_turn_of_the_loop_brings_an_item() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, group_items=10_000)
    # Much is in flight, so that no group has its share soon.
    asked = ask(batcher, *[b"%d" % number for number in range(1000)])
    await turns()
    sender.go()
    await turns()
    groups = len(sender.groups)
    for number in range(160):
        asked += ask(batcher, b"next%d" % number)
        await turns(1)
    assert len(sender.groups) == groups + 1
    assert len(sender.groups[-1][1]) <= 130
    await finish(sender, *asked)


async def test_the_failure_of_a_group_is_that_of_each_item_and_of_no_other_group() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender)
    sender.failure = OSError("down")
    assert await finish(sender, *ask(batcher, b"a", b"b")) == [sender.failure] * 2
    sender.failure = None
    assert await finish(sender, *ask(batcher, b"a")) == [b"A"]


async def test_an_item_is_settled_once_even_if_a_result_arrives_late() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, seconds=100)
    reported: list[bytes | Exception] = []
    batcher.submit("k", 1, lambda: b"a", reported.append)
    await later(150)
    sender.go()
    await turns()
    assert [type(each) for each in reported] == [NotAnsweredInTime]


async def test_more_groups_may_be_in_flight_while_a_whole_group_is_queued() -> None:
    sender = FakeSender()
    asked = ask(batcher_of(sender, groups=1, full_groups=3, group_items=2), *[b"%d" % number for number in range(9)])
    await turns()
    assert [len(items) for _, items in sender.groups] == [2, 2, 2]
    sender.go()
    await turns()
    assert [len(items) for _, items in sender.groups] == [2, 2, 2, 2]
    sender.go()
    await turns()
    # What is left is no whole group.
    assert len(sender.groups) == 4
    assert await finish(sender, *asked) == [b"%d" % number for number in range(9)]


@pytest.mark.parametrize(("items", "is_sent"), [(150, False), (2, True)])
async def test_a_whole_group_waits_for_no_more(items: int, is_sent: bool) -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, group_items=items)
    asked = ask(batcher, b"a", b"b")
    await turns()
    # Where several have travelled together, others are waited for.
    asked += ask(batcher, b"c", b"d")
    await turns(3)
    assert (len(sender.groups) == 2) == is_sent
    await finish(sender, *asked)


@pytest.mark.parametrize(("arriving", "is_sent"), [(31, False), (32, True)])
async def test_a_group_with_its_share_waits_for_no_more(arriving: int, is_sent: bool) -> None:
    sender = FakeSender()
    batcher = batcher_of(sender)
    asked = ask(batcher, *[b"%d" % number for number in range(64)])
    await turns()
    assert [len(items) for _, items in sender.groups] == [32, 32]
    sender.go()
    await turns()
    asked += ask(batcher, *[b"next%d" % number for number in range(arriving)])
    await turns(3)
    # As many are in flight: what is answered next would else come to wait with these, and travel with them ever after.
    assert (len(sender.groups) == 3) == is_sent
    await finish(sender, *asked)


async def test_the_failure_of_one_item_is_reported_to_it_alone() -> None:
    async def send(_: str, items: Sequence[bytes], __: float) -> Sequence[bytes | Exception]:
        return [ValueError() if item == b"bad" else item.upper() for item in items]

    asked = ask(Batcher(send, Limits(5.0)), b"a", b"bad", b"c")
    reported = await asyncio.gather(*asked, return_exceptions=True)
    assert [each if isinstance(each, bytes) else type(each) for each in reported] == [b"A", ValueError, b"C"]


async def test_groups_are_about_equal_in_size_and_take_the_items_of_each_turn() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender)
    asked = ask(batcher, *[b"%d" % number for number in range(40)])
    await turns()
    assert [len(items) for _, items in sender.groups] == [20, 20]
    for number in range(20):
        # One in each turn, as from clients that send again when they are answered.
        asked += ask(batcher, b"next%d" % number)
        if number == 3:
            sender.go()
        await turns(1)
    await turns(20)
    assert [len(items) for _, items in sender.groups] == [20, 20, 20]
    await finish(sender, *asked)


async def test_an_item_is_prepared_when_its_group_is_sent() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, groups=1)
    making: list[str] = []
    reported: list[bytes | Exception] = []
    for name in ("a", "b", "c"):

        def make(name: str = name) -> bytes:
            making.append(name)
            return name.encode()

        batcher.submit("k", 1, make, reported.append)
        await turns()
    assert making == ["a"]
    sender.go()
    await turns()
    assert making == ["a", "b", "c"]
    sender.go()
    await turns()
    assert reported == [b"A", b"B", b"C"]


async def test_an_item_that_cannot_be_prepared_fails_immediately_and_alone() -> None:
    sender = FakeSender()
    asked = ask(batcher_of(sender), b"a", b"unfit", b"b")
    await turns()
    assert isinstance(asked[1].exception(), ValueError)
    assert sender.groups == [("k", [b"a", b"b"])]
    assert await finish(sender, asked[0], asked[2]) == [b"A", b"B"]


async def test_an_item_behind_many_that_cannot_be_prepared_is_sent() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, group_items=3)
    asked = ask(batcher, *[b"unfit"] * 20, b"a")
    await turns(40)
    assert all(isinstance(each.exception(), ValueError) for each in asked[:-1])
    assert sender.groups == [("k", [b"a"])]
    assert await finish(sender, asked[-1]) == [b"A"]
    await turns()
    assert (batcher._by_key, batcher.queued_items, batcher.queued_bytes) == ({}, 0, 0)


@pytest.mark.parametrize(
    ("items", "groups"),
    [
        # From two bytes each: after two of them, there is room for one byte.
        ([(2, b"a"), (2, b"b"), (2, b"c")], [[b"a", b"b"], [b"c"]]),
        # What could not be made was work, too.
        ([(3, b"unfit"), (3, b"b"), (2, b"c")], [[b"b", b"c"]]),
    ],
)
async def test_a_group_is_limited_by_the_size_of_its_items_before_they_are_prepared(
    items: list[tuple[int, bytes]], groups: list[list[bytes]]
) -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, group_bytes=5)
    reported: list[bytes | Exception] = []
    for size, data in items:
        batcher.submit("k", size, functools.partial(made, data), reported.append)
    await turns(20)
    assert [sent for _, sent in sender.groups] == groups
    for _ in groups:
        sender.go()
    await turns()
    assert len(reported) == len(items)


async def test_the_items_that_are_prepared_in_one_turn_of_the_loop_are_limited() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender, group_bytes=10, groups=4)
    making: list[int] = []
    for number in range(12):
        batcher.submit("k", 5, lambda number=number: making.append(number) or b"a", lambda _: None)  # type: ignore[misc, func-returns-value]
    made_in_turn = []
    while len(making) < 8:
        before = len(making)
        await asyncio.sleep(0)
        made_in_turn.append(len(making) - before)
    # Two of 5 bytes each: a group, and as much as there may be in one go.
    assert max(made_in_turn) == 2
    for _ in range(6):
        await turns()
        sender.go()
    await turns()
    assert making == list(range(12))


async def test_the_queued_items_of_all_keys_together_are_limited() -> None:
    sender = FakeSender()
    batcher: Batcher[str, bytes, bytes] = Batcher(sender.send, Limits(5.0))
    for number in range(10_000):
        batcher.submit(str(number % 7), 1, lambda: b"a", lambda _: None)
    with pytest.raises(QueueFull):
        batcher.submit("k", 1, lambda: b"a", lambda _: None)

    batcher = Batcher(sender.send, Limits(5.0))
    for key in "abcd":
        batcher.submit(key, 16 * 2**20, lambda: b"a", lambda _: None)
    with pytest.raises(QueueFull):
        batcher.submit("k", 1, lambda: b"a", lambda _: None)
    while sender._held or batcher._by_key:
        if sender._held:
            sender.go()
        await turns(1)


async def test_a_key_has_at_most_four_groups_of_150_in_flight() -> None:
    sender = FakeSender()
    asked = ask(Batcher(sender.send, Limits(5.0)), *[b"%d" % number for number in range(1000)])
    await turns()
    assert [len(items) for _, items in sender.groups] == [150] * 4
    await finish(sender, *asked)


def test_the_limit_of_a_group_is_128_kib() -> None:
    assert Limits(1.0).group_bytes == 128 * 1024


async def test_a_caller_may_submit_again_while_its_item_is_settled() -> None:
    sender = FakeSender()
    batcher = batcher_of(sender)
    reported: list[bytes | Exception] = []

    def again(outcome: bytes | Exception) -> None:
        reported.append(outcome)
        batcher.submit("k", 1, lambda: b"a", reported.append)

    batcher.submit("k", 5, lambda: made(b"unfit"), again)
    await turns()
    sender.go()
    await turns()
    assert [str(each) for each in reported[1:]] == [str(b"A")]
    assert batcher._by_key == {}
