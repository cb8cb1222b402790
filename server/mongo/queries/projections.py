"""Masks as MongoDB's projections."""

from typing import Any, Final

from server.merge.field_names import escape_key
from server.query.field_mask import Mask

Projection = dict[str, Any]

# No mask leaves out who it is, nor what a list may be ordered by.
_ALWAYS: Final = ("user_id", "created_time", "modified_time", "modified_nanos")
_ALIAS_COUNT: Final = {"$size": {"$ifNull": ["$aliases", []]}}


def projection(mask: Mask) -> Projection:
    """What MongoDB returns of a document."""
    projected: Projection = dict.fromkeys(_ALWAYS, 1)
    for path in mask.paths:
        if path == ("alias_count",):
            projected["alias_count"] = _ALIAS_COUNT
        elif path == ("ip_address",):
            projected |= {"ip_address": 1, "observed_ip_address": 1}
        else:
            projected[".".join((path[0], *map(escape_key, path[1:])))] = 1
    return projected
