"""Rows of a file, and why a row is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

ROW_BYTES: Final = 4 * 1024 * 1024
"""The limit of one row: the size of an update that the server takes."""

Original: TypeAlias = bytes | Sequence[str]
"""A row as it is in the file: JSON text, or the cells of CSV."""


@dataclass(frozen=True, slots=True)
class FieldRefusal:
    """A field that breaks a rule: its path, a reason in UPPER_SNAKE_CASE, and a description. None holds its value."""

    field: str
    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row is not imported."""

    reason: str
    message: str
    fields: tuple[FieldRefusal, ...] = ()

    @classmethod
    def of_fields(cls, fields: Sequence[FieldRefusal]) -> "Refusal":
        """The refusal of a row in which these fields break rules."""
        more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
        return cls("INVALID_REQUEST", f"{fields[0].field}: {fields[0].description}{more}", tuple(fields))

    @classmethod
    def of_status(cls, status: Status) -> "Refusal":
        """The refusal in a Status of the server."""
        info, fields = ErrorInfo(), BadRequest()
        for detail in status.details:
            detail.Unpack(info)
            detail.Unpack(fields)
        message = status.message
        if error_id := info.metadata.get("error_id"):
            message = f"{message} (error_id={error_id})"
        return cls(
            info.reason or f"CODE_{status.code}",
            message,
            tuple(_field_refusal(each) for each in fields.field_violations),
        )


def _field_refusal(violation: Any) -> FieldRefusal:
    # The stubs do not know the reason.
    return FieldRefusal(violation.field, violation.reason, violation.description)


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `number` counts from 1: lines of JSON Lines, items of an array, records of CSV with its header.

    `refusal` is set where the row cannot be read. The `original` of a row that is too large is empty.
    """

    number: int
    original: Original
    refusal: Refusal | None = None


TOO_LARGE: Final = Refusal("TOO_LARGE", f"The row is longer than {ROW_BYTES:,} bytes.")
