"""Single JSON values as protobuf's constructors take them. A reader adds a violation for a value of another type."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors.violations import Findings, Path
from gateway.routing.descriptors import FLOATS, INTEGERS
from gateway.transcoding import exact_integers, timestamps

WRONG_TYPE: Final = "WRONG_TYPE"
"""The reason of a violation."""

_FEW_COMMAS: Final = exact_integers.VALUES - exact_integers.LEVELS

Reader: TypeAlias = Callable[[Any, Path, Findings], Any]
"""Converts a JSON value that is not null to an argument of the message's constructor; None for "not sent" or a
violation."""


def members_of(value: Any, path: Path, findings: Findings) -> dict[str, Any] | None:
    """The members of an object. PHP does not distinguish an empty one from `[]`."""
    if value == []:
        return {}
    if isinstance(value, dict):
        return value
    findings.refuse(path, WRONG_TYPE, "must be an object")
    return None


def read_struct(value: Any, path: Path, findings: Findings) -> dict[str, Any] | None:
    """An object for a Struct, whose numbers are doubles: other integers become strings."""
    members = members_of(value, path, findings)
    return members if members is not None and exact_integers.make_exact(members, path, findings) else None


def read_struct_as_json(value: Any, path: Path, findings: Findings) -> bytes | None:
    """The same as JSON."""
    members = members_of(value, path, findings)
    if members is None:
        return None
    if (encoded := exact_json(members)) is not None:
        return encoded
    return orjson.dumps(members) if exact_integers.make_exact(members, path, findings) else None


def read_value(value: Any, path: Path, findings: Findings) -> dict[str, Any]:
    """A value for a `google.protobuf.Value`, by the name of its kind. Its size was checked before."""
    if isinstance(value, str):
        return {"string_value": value}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, int | float):
        return {"number_value": value}
    return {"struct_value" if isinstance(value, dict) else "list_value": value}


def read_list_value(value: Any, path: Path, findings: Findings) -> list[Any] | None:
    """An array for a `google.protobuf.ListValue`. Its size was checked before."""
    if isinstance(value, list):
        return value
    findings.refuse(path, WRONG_TYPE, "must be an array")
    return None


def exact_json(value: dict[str, Any]) -> bytes | None:
    """The JSON of an object with few values, whose integers are exact; else None."""
    try:
        encoded = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_SUBCLASS)
    except orjson.JSONEncodeError:
        return None  # An integer may be beyond what a double holds.
    # With so few containers and commas, nothing is nested too deep, nor are there too many values. Counting those in
    # strings as well only takes the slow path more often.
    containers = encoded.count(b"{") + encoded.count(b"[")
    return encoded if containers <= exact_integers.LEVELS and encoded.count(b",") < _FEW_COMMAS else None


def time_as_json(time: Timestamp) -> tuple[int, int]:
    """A time for a batch method: its seconds and nanoseconds."""
    return time.seconds, time.nanos


def read_timestamp(value: Any, path: Path, findings: Findings) -> Any:
    """The time in a JSON value; None with a warning where it is empty, and with a violation where it is invalid."""
    if value == "":
        findings.warn(path, "IGNORED", "is ignored: an empty string is no time")
        return None
    time = timestamps.parse(value) if isinstance(value, str) else None
    if time is None:
        findings.refuse(path, "NOT_A_TIME", "must be a time such as 2026-01-02T03:04:05Z, in the years 1 to 9999")
    return time


def read_string(value: Any, path: Path, findings: Findings) -> str | None:
    """A string, or the digits of an integer."""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    findings.refuse(path, WRONG_TYPE, "must be a string")
    return None


def read_scalar_as_string(value: Any, path: Path, findings: Findings) -> str | None:
    """A string, or the JSON text of a number or boolean, with a warning."""
    if type(value) in (bool, float):
        findings.warn(path, "KEPT_AS_TEXT", "is stored as a string")
        return orjson.dumps(value).decode()
    return read_string(value, path, findings)


def _read_bool(value: Any, path: Path, findings: Findings) -> bool | None:
    if isinstance(value, bool):
        return value
    findings.refuse(path, WRONG_TYPE, "must be true or false")
    return None


def _read_float(value: Any, path: Path, findings: Findings) -> float | None:
    if type(value) in (int, float) and abs(value) < 1e308:
        return float(value)
    findings.refuse(path, WRONG_TYPE, "must be a number")
    return None


def _integer_reader(minimum: int, maximum: int) -> Reader:
    def read_integer(value: Any, path: Path, findings: Findings) -> Any:
        if type(value) is int and minimum <= value <= maximum:
            return value
        findings.refuse(path, WRONG_TYPE, f"must be an integer from {minimum} to {maximum}")
        return None

    return read_integer


SCALAR_READERS: Final[Mapping[int, Reader]] = {
    FieldDescriptor.TYPE_STRING: read_string,
    FieldDescriptor.TYPE_BOOL: _read_bool,
    **dict.fromkeys(FLOATS, _read_float),
    **{kind: _integer_reader(*bounds) for kind, bounds in INTEGERS.items()},
}
"""The reader of each scalar type."""
