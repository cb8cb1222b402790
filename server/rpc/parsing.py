"""Bytes to messages: small ones at once, large ones in slices, and what is too large not at all."""

from itertools import islice
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from runtime.turns import Turns
from server import limits
from server.errors import BatchTooLarge, InvalidRequest, MalformedRequest, Violation
from server.rpc.wire_slices import LENGTH_DELIMITED, InvalidWire, fields_of

SLICE_BYTES: Final = 256 * 1024
"""What is parsed at once: of the worst messages that takes 4 ms."""

# What belongs to the batch as a whole, beside its items and the addresses of their clients.
_OTHER_FIELDS: Final = 100

# Of those that have a tag of one byte. Requests have no field beyond them: such a field is unknown anyhow.
_HIGHEST_FIELD: Final = 15


def items_field(message: type[Message]) -> str:
    """The field of a request that holds many items, each with a result of its own; empty where the request is one."""
    names = message.DESCRIPTOR.fields_by_name
    return next((name for name in ("users", "requests", "user_ids") if name in names), "")


def parse(text: bytes, message: type[Message]) -> Message:
    """The message that these bytes are. Raises MalformedRequest."""
    try:
        return message.FromString(text)
    except DecodeError as error:
        raise MalformedRequest from error


async def parse_large(text: bytes, message: type[Message], turns: Turns, owner: str) -> tuple[Message, frozenset[int]]:
    """The message that more than SLICE_BYTES are, parsed in turns of its owner, and the indices of the items that are
    larger than an update may be: each of these is empty in the message.

    Raises BatchTooLarge, MalformedRequest or, where the message is one item, InvalidRequest, before anything is parsed.
    """
    items = items_field(message)
    if not items:
        _require_size(text, message)
        _require_few(text, message)
        await turns.turn(owner)
        return parse(text, message), frozenset()
    slices, oversized = _cut(text, message.DESCRIPTOR.fields_by_name[items].number)
    request = message()
    try:
        for each in slices:
            await turns.turn(owner)
            request.MergeFromString(each)
    except DecodeError as error:
        raise MalformedRequest from error
    return request, oversized


def _require_size(text: bytes, message: type[Message]) -> None:
    if len(text) > limits.UPDATE_BYTES:
        # Of a user, only `metadata` can be so large: the limits of all other fields are far below.
        fields = message.DESCRIPTOR.fields
        field = "user.metadata" if fields[0].name == "user" else fields[0].name
        raise InvalidRequest([Violation(field, "TOO_LARGE", f"must take less than {limits.UPDATE_BYTES:,} bytes")])


def _require_few(text: bytes, message: type[Message]) -> None:
    """Raise InvalidRequest for a list in which there are more elements than any may have: they take a byte or two."""
    try:
        is_longer = len([*islice(fields_of(text), limits.BATCH_UPDATES + 1)]) > limits.BATCH_UPDATES
    except InvalidWire as error:
        raise MalformedRequest from error
    if is_longer:
        fields = message.DESCRIPTOR.fields
        field = next((field for field in fields if field.is_repeated), fields[0])
        raise InvalidRequest([Violation(field.name, "TOO_MANY", f"more than {limits.BATCH_UPDATES:,} elements")])


def _cut(text: bytes, items: int) -> tuple[list[Any], frozenset[int]]:
    """The slices of a batch, as buffers, and the indices of the items that are too large, each an empty slice."""
    view = memoryview(text)
    slices: list[Any] = []
    oversized: list[int] = []
    count = others = begin = 0
    try:
        for field in fields_of(text):
            size = field.end - field.start
            is_item = field.number == items and field.wire_type == LENGTH_DELIMITED
            count, others = count + is_item, others + (not is_item)
            # There are as many addresses as items, or none.
            if max(count, others - _OTHER_FIELDS) > limits.BATCH_UPDATES:
                raise BatchTooLarge
            if size > (limits.UPDATE_BYTES if is_item else SLICE_BYTES):
                # No other field may be so large: the address of a client that is too long is none.
                if is_item:
                    oversized.append(count - 1)
                slices.append(view[begin : field.start])
                if field.number <= _HIGHEST_FIELD:
                    slices.append(bytes((field.number << 3 | LENGTH_DELIMITED, 0)))
                begin = field.end
            elif field.end - begin > SLICE_BYTES:
                slices.append(view[begin : field.start])
                begin = field.start
    except InvalidWire as error:
        raise MalformedRequest from error
    slices.append(view[begin:])
    return slices, frozenset(oversized)
