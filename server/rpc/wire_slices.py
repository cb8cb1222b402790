"""Messages on the wire, cut at their top-level fields: to be counted before they are parsed, and parsed in slices."""

from collections.abc import Iterator
from typing import Final, NamedTuple

VARINT: Final = 0
FIXED64: Final = 1
LENGTH_DELIMITED: Final = 2
FIXED32: Final = 5


class InvalidWire(Exception):
    """Bytes that are no fields of a message."""


class Field(NamedTuple):
    """A field of a message: its number and wire type, where it begins, where its payload begins, and where it ends."""

    number: int
    wire_type: int
    start: int
    payload: int
    end: int


def fields_of(message: bytes) -> Iterator[Field]:
    """The fields of a message, one after the other, as long as they are taken. Raises InvalidWire, also for groups."""
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
    """The number at a position, and where it ends."""
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
