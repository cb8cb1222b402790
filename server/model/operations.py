"""Operations on metadata as callers send them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class OperationKind(StrEnum):
    """What an operation does: the name of its field in a MetadataOperation."""

    SET_ONCE = "set_once"
    UNION = "union"
    REMOVE = "remove"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"


@dataclass(frozen=True, slots=True)
class MetadataOperation:
    """An operation on the value at `path`, the caller's keys from the outside in.

    `value` is a JSON value, and a list for UNION and REMOVE.
    """

    path: Sequence[str]
    kind: OperationKind
    value: object
