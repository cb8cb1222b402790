"""Capacity that applications share."""

import pytest

from server.errors import Overloaded
from server.rpc.admission.shared_capacity import SharedCapacity


def test_capacity_is_shared_by_number_and_by_bytes() -> None:
    capacity = SharedCapacity(10, 100)
    for _ in range(5):
        capacity.take("a", 10)
    with pytest.raises(Overloaded):
        capacity.take("a", 0)
    with pytest.raises(Overloaded):
        capacity.take("b", 51)
    capacity.take("b", 25)
    with pytest.raises(Overloaded):
        capacity.take("b", 1)
    capacity.give_back("b", 25)
    for _ in range(5):
        capacity.give_back("a", 10)
    assert capacity.is_empty
    assert (capacity.free, capacity.free_bytes) == (10, 100)
