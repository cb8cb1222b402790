"""Operations: changes of one value that depend on what is stored, and that change nothing a second time.

In a patch, an Operation is a leaf. `mongo/writes/operation_expression.py` says the same to MongoDB.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from server.limits import OPERATION_VALUES
from server.model import REMOVE, OperationKind

TIME_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z)?\z"
"""The strings that are compared as times, as a regular expression of MongoDB."""

WHOLE_TIME: Final = "0000-00-00T00:00:00.000000000"
"""What such a string, without its `Z`, is filled up with at its end: then strings are in the order of their times."""

_TIME: Final = re.compile(TIME_PATTERN.replace(r"\z", r"\Z"))

_TYPE_TAGS: Final = {bool: "boolean", str: "string", type(None): "null"}


class NotComposable(Exception):
    """No patch has the effect of two patches in turn."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation in a patch. `value` has the form in which it is stored; of UNION and REMOVE, it is a list of values
    of which no two are equal.
    """

    kind: OperationKind
    value: object

    def apply(self, stored: object) -> object:
        """The value after the operation. REMOVE stands for no value."""
        match self.kind:
            case OperationKind.SET_ONCE:
                return self.value if stored is REMOVE else stored
            case OperationKind.UNION:
                elements = stored if isinstance(stored, list) else []
                return [*elements, *without(self.values, elements)]
            case OperationKind.REMOVE:
                return without(stored, self.values) if isinstance(stored, list) else stored
            case OperationKind.MINIMUM | OperationKind.MAXIMUM:
                return self.value if self._replaces(stored) else stored

    @property
    def values(self) -> list[object]:
        """The values of UNION and REMOVE."""
        return cast("list[object]", self.value)

    @property
    def may_leave_an_object(self) -> bool:
        """Whether an object may be stored after the operation."""
        return self.kind in (OperationKind.SET_ONCE, OperationKind.REMOVE)

    def followed_by(self, later: "Operation") -> "Operation":
        """One operation with the effect of both. Raises NotComposable."""
        if self.kind is not later.kind:
            raise NotComposable
        match self.kind:
            case OperationKind.SET_ONCE:
                return self
            case OperationKind.UNION | OperationKind.REMOVE:
                values = distinct([*self.values, *later.values])
                # MongoDB compares each of them with each stored element.
                if len(values) > OPERATION_VALUES:
                    raise NotComposable
                return Operation(self.kind, values)
            case OperationKind.MINIMUM | OperationKind.MAXIMUM:
                if isinstance(self.value, str) is not isinstance(later.value, str):
                    raise NotComposable
                return later if later._replaces(self.value) else self

    def _replaces(self, stored: object) -> bool:
        """Whether the value of MINIMUM or MAXIMUM replaces the stored one."""
        is_minimum = self.kind is OperationKind.MINIMUM
        if isinstance(self.value, str):
            if not (isinstance(stored, str) and _TIME.match(stored)):
                return True
            own, other = filled_up(self.value), filled_up(stored)
            return own < other if is_minimum else own > other
        if isinstance(stored, bool) or not isinstance(stored, int | float):
            return True
        number = cast(float, self.value)
        return number < stored if is_minimum else number > stored


def is_time(text: str) -> bool:
    """Whether a string is a time or a date that operations compare."""
    if not _TIME.match(text):
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def filled_up(time: str) -> str:
    """A time or a date in the form that is compared."""
    text = time.rstrip("Z")
    return text + WHOLE_TIME[len(text) :]


def distinct(values: Iterable[object]) -> list[object]:
    """The values without those that equal an earlier one."""
    known: dict[object, object] = {}
    for value in values:
        known.setdefault(_identity(value), value)
    return list(known.values())


def without(values: Sequence[object], others: Iterable[object]) -> list[object]:
    """The values that equal none of `others`."""
    known = {_identity(other) for other in others}
    return [value for value in values if _identity(value) not in known]


def levels_in(value: object) -> int:
    """The number of nested objects and arrays in a value, itself included."""
    if isinstance(value, dict | list):
        return 1 + max(map(levels_in, value.values() if isinstance(value, dict) else value), default=0)
    return 0


def _identity(value: object) -> object:
    """A key that equal JSON values have, and no others. To Python, 1 and True are equal."""
    if isinstance(value, dict):
        return "object", frozenset((key, _identity(item)) for key, item in value.items())
    if isinstance(value, list):
        return "array", tuple(map(_identity, value))
    return _TYPE_TAGS.get(type(value), "number"), value
