"""From bytes to a request: a large request is parsed in slices, an oversized item is not parsed."""

from itertools import islice
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError, Message

from runtime.turns import Turns
from server import limits
from server.errors import BatchTooLarge, InvalidRequest, MalformedRequest, Violation
from server.rpc.wire_fields import LENGTH_DELIMITED, InvalidWire, fields_of

SLICE_BYTES: Final = 256 * 1024
"""The largest request, or part of one, that is parsed without yielding to other applications."""

# Fields of the batch as a whole, beside its items and the addresses of their clients and their origins.
_OTHER_FIELDS: Final = 100

# The highest number whose tag takes one byte. No request has a higher one: it would be an unknown field.
_HIGHEST_FIELD: Final = 15


class ParsedRequest(NamedTuple):
    """A request, and the indices of its items that are too large to be parsed. These are empty in the request."""

    request: Any
    oversized: frozenset[int] = frozenset()


def parse(payload: bytes, request_class: type[Message]) -> Message:
    """The request in a payload. Raises MalformedRequest."""
    try:
        return request_class.FromString(payload)
    except DecodeError as error:
        raise MalformedRequest from error


async def parse_large(
    payload: bytes, request_class: type[Message], items: str | None, turns: Turns, application_id: str
) -> ParsedRequest:
    """The request in a payload of more than SLICE_BYTES, parsed in turns of its application. `items` is the repeated
    field with the items of the request.

    Raises, before anything is parsed, BatchTooLarge, MalformedRequest or, for a request without items, InvalidRequest.
    """
    if items is None:
        _require_size(payload, request_class)
        _require_few_elements(payload, request_class)
        await turns.turn(application_id)
        return ParsedRequest(parse(payload, request_class))
    slices, oversized = _cut(payload, request_class.DESCRIPTOR.fields_by_name[items].number)
    request = request_class()
    try:
        for part in slices:
            await turns.turn(application_id)
            request.MergeFromString(part)
    except DecodeError as error:
        raise MalformedRequest from error
    return ParsedRequest(request, oversized)


def _require_size(payload: bytes, request_class: type[Message]) -> None:
    if len(payload) > limits.UPDATE_BYTES:
        first = request_class.DESCRIPTOR.fields[0]
        # Of an update, only `metadata` can be that large: all other fields have far lower limits.
        is_update = first.message_type is not None and "metadata" in first.message_type.fields_by_name
        field = f"{first.name}.metadata" if is_update else first.name
        raise InvalidRequest([Violation(field, "TOO_LARGE", f"must take less than {limits.UPDATE_BYTES:,} bytes")])


def _require_few_elements(payload: bytes, request_class: type[Message]) -> None:
    """Raise InvalidRequest for a list with more elements than any may have. An element can take as little as two bytes,
    so that the size alone does not bound their number.
    """
    try:
        is_longer = len([*islice(fields_of(payload), limits.BATCH_UPDATES + 1)]) > limits.BATCH_UPDATES
    except InvalidWire as error:
        raise MalformedRequest from error
    if is_longer:
        fields = request_class.DESCRIPTOR.fields
        field = next((field for field in fields if field.is_repeated), fields[0])
        raise InvalidRequest([Violation(field.name, "TOO_MANY", f"more than {limits.BATCH_UPDATES:,} elements")])


def _cut(payload: bytes, items: int) -> tuple[list[Any], frozenset[int]]:
    """The slices of a batch, as buffers, and the indices of its oversized items, each of which is an empty item.
    `items` is the number of the field that holds the items.
    """
    view = memoryview(payload)
    slices: list[Any] = []
    oversized: list[int] = []
    count = others = start = 0
    try:
        for field in fields_of(payload):
            size = field.end - field.start
            is_item = field.number == items and field.wire_type == LENGTH_DELIMITED
            count, others = count + is_item, others + (not is_item)
            # There are as many addresses as items, or none, and likewise origins.
            if count > limits.BATCH_UPDATES or others - _OTHER_FIELDS > 2 * limits.BATCH_UPDATES:
                raise BatchTooLarge
            if size > (limits.UPDATE_BYTES if is_item else SLICE_BYTES):
                # Neither may any other field be that large: a client address of this length is no address.
                if is_item:
                    oversized.append(count - 1)
                slices.append(view[start : field.start])
                if field.number <= _HIGHEST_FIELD:
                    slices.append(bytes((field.number << 3 | LENGTH_DELIMITED, 0)))
                start = field.end
            elif field.end - start > SLICE_BYTES:
                slices.append(view[start : field.start])
                start = field.start
    except InvalidWire as error:
        raise MalformedRequest from error
    slices.append(view[start:])
    return slices, frozenset(oversized)
