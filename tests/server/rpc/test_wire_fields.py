"""The top-level fields of serialized messages, compared with protobuf."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from userfold.internal.v1 import user_update_service_pb2 as internal_pb

from server.rpc.wire_fields import LENGTH_DELIMITED, InvalidWire, fields_of

_UPDATES = st.builds(
    lambda user_id, key, value: json.dumps({"user_id": user_id, "metadata": {key: value}}).encode(),
    st.text(max_size=200),
    st.text(max_size=5),
    st.one_of(st.text(max_size=300), st.floats(allow_nan=False), st.booleans()),
)
_BATCHES = st.builds(
    lambda users, addresses: internal_pb.BatchUpdateUsersRequest(users_json=users, client_addresses=addresses),
    st.lists(_UPDATES, max_size=8),
    st.lists(st.text(max_size=40), max_size=8),
)


@given(_BATCHES)
def test_the_fields_of_a_message_are_those_that_protobuf_finds(batch: internal_pb.BatchUpdateUsersRequest) -> None:
    message = batch.SerializeToString()
    fields = list(fields_of(message))
    assert [message[field.start : field.end] for field in fields if field.number == 1] == [
        internal_pb.BatchUpdateUsersRequest(users_json=[user]).SerializeToString() for user in batch.users_json
    ]
    # Concatenated, they are the message.
    assert b"".join(message[field.start : field.end] for field in fields) == message
    merged = internal_pb.BatchUpdateUsersRequest()
    for field in fields:
        merged.MergeFromString(message[field.start : field.end])
    assert merged == batch


@given(st.binary(max_size=60))
def test_bytes_that_are_not_fields_raise_invalid_wire(message: bytes) -> None:
    try:
        fields = list(fields_of(message))
    except InvalidWire:
        return
    assert b"".join(message[field.start : field.end] for field in fields) == message
    assert all(field.start < field.payload <= field.end for field in fields)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\x0a", id="no length"),
        pytest.param(b"\x0a\x05abc", id="truncated string"),
        pytest.param(b"\x00\x00", id="number 0"),
        pytest.param(b"\x0b\x0c", id="group"),
        pytest.param(b"\x0e", id="unknown type"),
        pytest.param(b"\x80" * 11, id="endless varint"),
        pytest.param(b"\x09\x00", id="cut number"),
        pytest.param(b"\x0a" + b"\xff" * 9 + b"\x01", id="huge length"),
    ],
)
def test_truncated_and_unknown_fields_raise_invalid_wire(message: bytes) -> None:
    with pytest.raises(InvalidWire):
        list(fields_of(message))


def test_every_wire_type_is_skipped_by_its_length() -> None:
    message = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x02hi" + b"\x25" + bytes(4)
    fields = list(fields_of(message))
    assert [(field.number, field.wire_type, field.end - field.payload) for field in fields] == [
        (1, 0, 2),
        (2, 1, 8),
        (3, LENGTH_DELIMITED, 2),
        (4, 5, 4),
    ]
