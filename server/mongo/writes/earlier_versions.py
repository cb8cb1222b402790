"""Writes of profiles as earlier versions stored them: until the migrations end, and of those that they left out.

Before version 4 of the schema, a user has the latest anonymous id alone. A write that replaces or removes it must keep
it among the user's `anonymous_ids`, as the migration would: only the exact update can.
"""

from typing import Final

from server.limits import ANONYMOUS_IDS
from server.model import ProfileWrite
from server.mongo.writes.update_document import Pipeline, exact_update

ALL_ANONYMOUS_IDS: Final = 4
"""The version of the schema from which on all users have all their anonymous ids."""

_IDS: Final = {"$ifNull": ["$anonymous_ids", []]}
_HAS_OTHER: Final = {
    "$and": [{"$eq": [{"$type": "$anonymous_id"}, "string"]}, {"$not": {"$in": ["$anonymous_id", _IDS]}}]
}
_ALL: Final = {"$slice": [{"$concatArrays": [_IDS, ["$anonymous_id"]]}, -ANONYMOUS_IDS]}
_KEPT: Final[dict[str, object]] = {"$set": {"anonymous_ids": {"$cond": [_HAS_OTHER, _ALL, "$anonymous_ids"]}}}


def changes_anonymous_id(write: ProfileWrite) -> bool:
    """Whether a write replaces or removes the anonymous id of a user."""
    return "anonymous_id" in write.patch


def migrating_update(write: ProfileWrite) -> Pipeline:
    """The exact update of a profile of any version."""
    update = exact_update(write)
    return [_KEPT, *update] if changes_anonymous_id(write) else update
