"""Masks as MongoDB's projections."""

from typing import Any, Final

from server.merge.field_names import escape_key
from server.mongo.etags import LAST_ALIAS
from server.query.field_mask import Mask
from server.query.fields import FIRST_CAMPAIGN
from server.users.finding.company_of_user import LINKS

Projection = dict[str, Any]

# No mask leaves out the id, what a list may be ordered by, and what leads to the company of a user.
_ALWAYS: Final = ("created_time", "modified_time", "modified_nanos", *LINKS)
_ALIAS_COUNT: Final = {"$size": {"$ifNull": ["$aliases", []]}}
_LAST_ALIAS: Final = {"$ifNull": [{"$last": "$aliases"}, "$$REMOVE"]}


def projection(mask: Mask) -> Projection:
    """What MongoDB returns of a document."""
    projected: Projection = dict.fromkeys((mask.kind.key, *_ALWAYS), 1)
    has_first_time = ("initial_campaign_time",) in mask.paths
    for path in mask.paths:
        if path == ("alias_count",):
            projected["alias_count"] = _ALIAS_COUNT
        elif path == ("ip_address",):
            projected |= {"ip_address": 1, "observed_ip_address": 1}
        elif path == ("initial_campaign_time",) or (path[0] == FIRST_CAMPAIGN and has_first_time):
            # MongoDB refuses a path beside one that leads through it.
            projected[FIRST_CAMPAIGN] = 1
        else:
            projected[".".join((path[0], *map(escape_key, path[1:])))] = 1
    if mask.is_whole and mask.kind.has_aliases:
        projected[LAST_ALIAS] = _LAST_ALIAS
    return projected


def cut_projection(mask: Mask, characters: int) -> Projection:
    """As `projection`, with at most so many characters of each string below metadata, and nothing else there."""
    projected = projection(mask)
    for path in projected:
        if path.startswith("metadata."):
            is_string = {"$eq": [{"$type": f"${path}"}, "string"]}
            projected[path] = {"$cond": [is_string, {"$substrCP": [f"${path}", 0, characters]}, "$$REMOVE"]}
    return projected
