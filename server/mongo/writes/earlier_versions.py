"""Writes of profiles as earlier versions stored them: until the migrations end, and of those that they left out.

Before version 4 of the schema, a user has the latest anonymous id alone. A write that replaces or removes it must keep
it among the user's `anonymous_ids`, as the migration would: only the exact update can.
"""

from typing import Final

from server.limits import ANONYMOUS_IDS
from server.model import DotPaths, ProfileWrite
from server.mongo.writes.update_document import Pipeline, exact_update

ALL_ANONYMOUS_IDS: Final = 4
"""The version of the schema from which on all users have all their anonymous ids."""

_IDS: Final = {"$ifNull": ["$anonymous_ids", []]}
HAS_OTHER_ANONYMOUS_ID: Final = {
    "$and": [{"$eq": [{"$type": "$anonymous_id"}, "string"]}, {"$not": {"$in": ["$anonymous_id", _IDS]}}]
}
"""Whether the latest anonymous id of a stored user is missing among all."""

WITH_OTHER_ANONYMOUS_ID: Final = {"$slice": [{"$concatArrays": [_IDS, ["$anonymous_id"]]}, -ANONYMOUS_IDS]}
_KEPT: Final[dict[str, object]] = {
    "$set": {"anonymous_ids": {"$cond": [HAS_OTHER_ANONYMOUS_ID, WITH_OTHER_ANONYMOUS_ID, "$anonymous_ids"]}}
}


def changes_anonymous_id(write: ProfileWrite) -> bool:
    """Whether a write replaces or removes the anonymous id of a user."""
    change = write.change
    if isinstance(change, DotPaths):
        return "anonymous_id" in change.sets or "anonymous_id" in change.removes
    return "anonymous_id" in change


def migrating_update(write: ProfileWrite) -> Pipeline:
    """The exact update of a profile of any version."""
    update = exact_update(write)
    return [_KEPT, *update] if changes_anonymous_id(write) else update
