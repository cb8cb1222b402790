"""Which profiles a query finds: conditions on stored fields, as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from server.model import USERS, ProfileKind

Operator: TypeAlias = Literal["=", "<", "<=", ">", ">="]

StoredPath: TypeAlias = tuple[str, ...]
"""The keys that lead to a value in the stored document, escaped as they are stored."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A field, which never holds an array, compares with a value."""

    path: StoredPath
    operator: Operator
    value: object


@dataclass(frozen=True, slots=True)
class JsonCompared:
    """A value below metadata, which is in no array, compares with a value.

    With `or_element`, so may an element, if it is an array itself.
    """

    path: StoredPath
    operator: Operator
    value: object
    or_element: bool


@dataclass(frozen=True, slots=True)
class JsonHasNull:
    """A value below metadata, which is in no array, is an array with a null in it."""

    path: StoredPath


@dataclass(frozen=True, slots=True)
class ElementCount:
    """The number of elements of an array compares with a value. An array that is not stored has none."""

    path: StoredPath
    operator: Operator
    value: float


@dataclass(frozen=True, slots=True)
class IsStored:
    """A value is stored, which is in no array."""

    path: StoredPath


@dataclass(frozen=True, slots=True)
class AllOf:
    conditions: "Sequence[Condition]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of several conditions. Without any, it is false."""

    conditions: "Sequence[Condition]"


@dataclass(frozen=True, slots=True)
class Not:
    condition: "Condition"


Condition: TypeAlias = Compared | JsonCompared | JsonHasNull | ElementCount | IsStored | AllOf | AnyOf | Not

NO_PROFILE: Final = AnyOf(())


@dataclass(frozen=True, slots=True)
class ProfileQuery:
    """The profiles of one kind of an application that meet all conditions.

    Visitors without a user id, and what an erasure leaves, are not among the users.
    """

    application_id: str
    conditions: Sequence[Condition] = ()
    kind: ProfileKind = USERS
