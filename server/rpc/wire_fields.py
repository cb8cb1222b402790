"""The top-level fields of a serialized message: they are counted, and cut into slices, before they are parsed."""

from collections.abc import Iterator
from typing import Final, NamedTuple

VARINT: Final = 0
FIXED64: Final = 1
LENGTH_DELIMITED: Final = 2
FIXED32: Final = 5


class InvalidWire(Exception):
    """The bytes are not the fields of a message."""


class Field(NamedTuple):
    """A field of a message. `start`, `payload` and `end` are the positions of its tag, its payload and its end."""

    number: int
    wire_type: int
    start: int
    payload: int
    end: int


def fields_of(message: bytes) -> Iterator[Field]:
    """The fields of a message, in order. Raises InvalidWire, also for a group."""
    position, size = 0, len(message)
    while position < size:
        start = position
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise InvalidWire
        payload = position
        if wire_type == LENGTH_DELIMITED:
            length, payload = _varint(message, position)
            position = payload + length
        elif wire_type == VARINT:
            _, position = _varint(message, position)
        elif wire_type == FIXED64:
            position += 8
        elif wire_type == FIXED32:
            position += 4
        else:
            raise InvalidWire
        if position > size:
            raise InvalidWire
        yield Field(number, wire_type, start, payload, position)


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = shift = 0
    while shift < 70:
        if position >= len(message):
            raise InvalidWire
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
        shift += 7
    raise InvalidWire
