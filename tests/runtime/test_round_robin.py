"""Queues by key, whose keys take turns."""

import pytest

from runtime.round_robin import RoundRobin


def test_keys_take_turns_and_the_items_of_each_stay_in_order() -> None:
    queue: RoundRobin[str, str] = RoundRobin()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.append(item[0], item)
    assert [queue.popleft() for _ in range(len(queue))] == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_key_that_was_idle_is_behind_the_other_keys() -> None:
    queue: RoundRobin[str, str] = RoundRobin()
    queue.append("a", "a1")
    queue.append("b", "b1")
    queue.append("b", "b2")
    assert queue.popleft() == "a1"
    queue.append("a", "a2")
    assert [queue.popleft() for _ in range(3)] == ["b1", "a2", "b2"]


def test_an_empty_queue_has_no_items_and_no_keys() -> None:
    queue: RoundRobin[str, int] = RoundRobin()
    queue.append("a", 1)
    assert len(queue) == 1
    queue.popleft()
    assert len(queue) == 0
    assert queue._queues == {}
    with pytest.raises(StopIteration):
        queue.popleft()
