"""Pointers: what is left of a profile that became a part of another one.

A pointer is `{_id, pointer, absorption, absorbed}`. `pointer` is the `_id` of the user. `absorbed` is the document that
the pointer replaced, as long as the user may not have got it yet, and `absorption` a unique id of that absorption: the
user's `absorptions` hold it from the write on that gives the user what was absorbed. Then both are removed.

A pointer has no field that lists, counts, reports or look-ups find. Each update sets `modified_time`, and the validator
refuses a document with that and a `pointer`, so no update can change a pointer.
"""

from collections.abc import Collection as Container
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from server.mongo.client import Collection

HOPS: Final = 16
"""Pointers that are followed one after another. A merge shortens what leads to its source, so there are hardly two."""

IS_POINTER: Final[Mapping[str, Any]] = {"pointer": {"$exists": True}}
IS_NO_POINTER: Final[Mapping[str, Any]] = {"pointer": {"$exists": False}}

_READ: Final = {"pointer": 1, "absorption": 1, "suppressed_until": 1}


class End(Enum):
    """Where pointers lead."""

    PROFILE = auto()
    """To a profile."""
    SUPPRESSED = auto()
    """To what the erasure of a user leaves, while updates are suppressed."""
    NOWHERE = auto()
    """To a user who was erased, or deeper than `HOPS`."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a pointer leads: the `_id` at the `end`, and the `_id`s of all pointers on the way, with that of their
    absorption, or None where nothing is left to absorb."""

    profile_id: str
    end: End
    pointers: Mapping[str, object] = field(default_factory=dict)


async def resolve(profiles: Collection, profile_ids: Container[str]) -> Mapping[str, Target]:
    """The targets of those of the ids that are pointers, by these ids. One query for all of each length of way.

    Raises PyMongoError. What was read may have changed since: a write to the target must not create it.
    """
    targets: dict[str, Target] = {}
    ways: dict[str, dict[str, object]] = {profile_id: {} for profile_id in profile_ids}
    ends = dict(zip(ways, ways, strict=True))
    for _ in range(HOPS + 1):
        if not ends:
            break
        found = {each["_id"]: each async for each in profiles.find({"_id": {"$in": [*{*ends.values()}]}}, _READ)}
        for start, end in [*ends.items()]:
            document = found.get(end)
            if document is not None and "pointer" in document:
                ways[start][end] = document.get("absorption")
                ends[start] = document["pointer"]
                continue
            del ends[start]
            if ways[start]:
                targets[start] = Target(end, _end(document), ways[start])
    return targets | {start: Target(end, End.NOWHERE, ways[start]) for start, end in ends.items()}


async def pointers_to(profiles: Collection, profile_ids: Container[str]) -> Mapping[str, str]:
    """The `_id`s of all pointers that lead to these profiles, whether those are stored or not, with where they lead.

    Raises PyMongoError.
    """
    found: dict[str, str] = {}
    level = {profile_id: profile_id for profile_id in profile_ids}
    for _ in range(HOPS):
        cursor = profiles.find({"pointer": {"$in": [*level]}}, {"pointer": 1})
        level = {each["_id"]: level[each["pointer"]] async for each in cursor if each["_id"] not in found}
        if not level:
            break
        found |= level
    return found


def _end(document: Mapping[str, Any] | None) -> End:
    if document is None:
        return End.NOWHERE
    return End.SUPPRESSED if "suppressed_until" in document else End.PROFILE
