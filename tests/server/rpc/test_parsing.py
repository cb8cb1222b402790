"""Large requests: the size of a slice, and what is refused or left out without being parsed."""

from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from userfold.internal.v1.user_update_service_pb2 import BatchUpdateUsersRequest
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.campaign_service_pb2 import ReportCampaignsRequest
from userfold.v1.user_pb2 import UserUpdate

from runtime.turns import Turns
from server import limits
from server.errors import BatchTooLarge, InvalidRequest, MalformedRequest, UserfoldError
from server.query.field_mask import parse_mask
from server.rpc import parsing
from server.rpc.parsing import parse_large
from tests.support.update_json import json_of

_ITEMS: dict[Any, str] = {
    BatchUpdateUsersRequest: "users_json",
    pb.StreamUpdateUsersRequest: "users",
    pb.BatchGetUsersRequest: "user_ids",
    pb.BatchDeleteUsersRequest: "user_ids",
    pb.BatchExportUsersRequest: "user_ids",
}


class FakeTurns(Turns):
    """Records the owners of turns."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: list[object] = []

    async def turn(self, owner: object) -> None:
        self.owners.append(owner)


async def parsed(message: Message | bytes, kind: Any = BatchUpdateUsersRequest) -> tuple[Any, frozenset[int], int]:
    """The parsed request, the indices of oversized items, and the number of slices."""
    turns = FakeTurns()
    payload = message if isinstance(message, bytes) else message.SerializeToString()
    request, oversized = await parse_large(payload, kind, _ITEMS.get(kind), turns, "app")
    assert set(turns.owners) <= {"app"}
    return request, oversized, len(turns.owners)


def user(size: int) -> UserUpdate:
    return UserUpdate(user_id="u", user_agent_string="x" * size)


def item(size: int) -> bytes:
    return json_of(user(size))


async def test_a_batch_is_parsed_in_slices_of_bounded_size() -> None:
    batch = BatchUpdateUsersRequest(users_json=[item(10_000)] * 500, client_addresses=["127.0.0.1"] * 500)
    request, oversized, slices = await parsed(batch)
    assert (request, oversized) == (batch, frozenset())
    assert 5_000_000 / (256 * 1024) <= slices <= 25


@pytest.mark.parametrize("sizes", [[1, 5_000_000, 2], [5_000_000], [5_000_000, 4_300_000, 300_000, 300_000, 7]])
async def test_an_oversized_item_is_empty_and_the_remaining_items_keep_their_positions(sizes: list[int]) -> None:
    request, oversized, _ = await parsed(BatchUpdateUsersRequest(users_json=[item(size) for size in sizes]))
    assert oversized == {index for index, size in enumerate(sizes) if size > limits.UPDATE_BYTES}
    assert list(request.users_json) == [b"" if index in oversized else item(size) for index, size in enumerate(sizes)]


async def test_a_very_long_address_is_not_parsed() -> None:
    addresses = ["127.0.0.1", "x" * 20_000_000, "::1"]
    request, oversized, _ = await parsed(BatchUpdateUsersRequest(users_json=[item(1)] * 3, client_addresses=addresses))
    assert (list(request.client_addresses), oversized) == (["127.0.0.1", "", "::1"], frozenset())


async def test_a_long_unknown_field_is_not_parsed() -> None:
    # The tag of field 20 takes two bytes.
    unknown = b"\xa2\x01" + b"\xe0\xa7\x12" + b"x" * 300_000
    one = BatchUpdateUsersRequest(users_json=[item(1)]).SerializeToString()
    request, oversized, _ = await parsed(one + unknown + one)
    assert (list(request.users_json), oversized) == ([item(1)] * 2, frozenset())


@given(st.lists(st.integers(0, 300), max_size=40))
async def test_a_request_is_the_same_when_it_is_parsed_in_slices(sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.rpc.parsing.SLICE_BYTES", 100)
        patch.setattr(limits, "UPDATE_BYTES", 250)
        batch = BatchUpdateUsersRequest(users_json=[item(size) for size in sizes], client_addresses=["x"] * len(sizes))
        request, oversized, _ = await parsed(batch)
    for index in oversized:
        assert len(batch.users_json[index]) > 240
        batch.users_json[index] = b""
    assert request == batch


ONE_ITEM = BatchUpdateUsersRequest(users_json=[b""]).SerializeToString()
ONE_ID = pb.BatchDeleteUsersRequest(user_ids=[""]).SerializeToString()
ONE_ADDRESS = BatchUpdateUsersRequest(client_addresses=[""]).SerializeToString()


@pytest.mark.parametrize(
    ("message", "kind", "error"),
    [
        (ONE_ITEM * 10_000_000, BatchUpdateUsersRequest, BatchTooLarge),
        (ONE_ITEM * 10_000_000, pb.StreamUpdateUsersRequest, BatchTooLarge),
        (ONE_ADDRESS * 10_000_000, BatchUpdateUsersRequest, BatchTooLarge),
        (ONE_ID * 10_000_000, pb.BatchDeleteUsersRequest, BatchTooLarge),
        (ONE_ID * 10_000_000, pb.BatchExportUsersRequest, BatchTooLarge),
        (b"\xff" * 10_000_000, BatchUpdateUsersRequest, MalformedRequest),
        (ONE_ITEM + b"\x0a", BatchUpdateUsersRequest, MalformedRequest),
        (b"\xf8\x01\x01" * 100_000, BatchUpdateUsersRequest, BatchTooLarge),
        (pb.UpdateUserRequest(user=user(5_000_000)).SerializeToString(), pb.UpdateUserRequest, InvalidRequest),
        (pb.GetUserRequest(user_id="u" * 5_000_000).SerializeToString(), pb.GetUserRequest, InvalidRequest),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value.__name__,
)
async def test_a_request_beyond_a_limit_is_refused_before_anything_is_parsed(
    message: bytes, kind: Any, error: type[UserfoldError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.rpc.parsing.parse", None)
    turns = FakeTurns()
    with pytest.raises(error):
        await parse_large(message, kind, _ITEMS.get(kind), turns, "app")
    assert turns.owners == []


async def test_the_violation_of_an_oversized_update_names_its_metadata() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await parsed(pb.UpdateUserRequest(user=user(5_000_000)), pb.UpdateUserRequest)
    assert [(violation.field, violation.reason) for violation in refusal.value.violations] == [
        ("user.metadata", "TOO_LARGE")
    ]


@pytest.mark.parametrize(
    ("element", "kind", "field"),
    [(b"\x2a\x00", pb.ListUsersRequest, "fields"), (b"\x1a\x00", ReportCampaignsRequest, "group_by")],
)
async def test_a_list_of_very_many_elements_is_not_parsed(
    element: bytes, kind: type[Message], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(_: bytes, message: type[Message]) -> Message:
        raise AssertionError(message)

    monkeypatch.setattr(parsing, "parse", parse)
    with pytest.raises(InvalidRequest) as refused:
        await parsed(element * 2_000_000, kind)
    assert [(violation.field, violation.reason) for violation in refused.value.violations] == [(field, "TOO_MANY")]
    with pytest.raises(MalformedRequest):
        await parsed(element * 2 + b"\x2a", kind)


async def test_a_long_list_of_fields_beside_ids_is_refused() -> None:
    with pytest.raises(BatchTooLarge):
        await parsed(b"\x12\x00" * 200_000, pb.BatchGetUsersRequest)
    # One long string is replaced by an empty one, which is not a valid path.
    request, _, _ = await parsed(
        pb.BatchGetUsersRequest(user_ids=["u"], fields=["x" * 300_000]), pb.BatchGetUsersRequest
    )
    assert list(request.fields) == [""]
    with pytest.raises(InvalidRequest):
        parse_mask(request.fields)
