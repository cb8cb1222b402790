"""One user by its id, to be erased, exported, or relieved of a session token: from a request to the profile."""

from datetime import datetime, timedelta

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import AliasRemoval, Erasure
from server.query.strings import text_violation
from server.users.derive import alias_digest
from server.users.update import profile_id, stored_time


def plan_erasure(application_id: str, field: str, user_id: str, suppressed_until: datetime | None) -> Erasure:
    """The erasure of the user whose id is in `field`. Raises InvalidRequest, which names it."""
    _require(field, user_id, limits.ID_BYTES)
    return Erasure(application_id, profile_id(application_id, user_id), suppressed_until)


def plan_suppression(days: int, now: int) -> datetime | None:
    """When updates are no longer suppressed, from the days asked for at the time `now` (in nanoseconds since 1970-01-01
    UTC); None for not at all. Raises InvalidRequest, which names `suppress_days`.
    """
    if not 0 <= days <= limits.SUPPRESS_DAYS:
        text = f"must be 1 to {limits.SUPPRESS_DAYS:,} days, or 0 for none"
        raise InvalidRequest([Violation("suppress_days", "OUT_OF_RANGE", text)])
    return stored_time(now)[0] + timedelta(days=days) if days else None


def plan_export(application_id: str, field: str, user_id: str) -> str:
    """The `_id` of the profile of the user whose id is in `field`. Raises InvalidRequest, which names it."""
    _require(field, user_id, limits.ID_BYTES)
    return profile_id(application_id, user_id)


def plan_alias_removal(application_id: str, user_id: str, session_token: str) -> AliasRemoval:
    """The removal of one session token from one user. Raises InvalidRequest, which names what is empty or too long."""
    _require("user_id", user_id, limits.ID_BYTES)
    _require("session_token", session_token, limits.TEXT_BYTES)
    return AliasRemoval(profile_id(application_id, user_id), alias_digest(application_id, session_token))


def _require(field: str, text: str, most: int) -> None:
    """Raise InvalidRequest for what no update could have carried."""
    if violation := text_violation(field, text, most):
        raise InvalidRequest([violation])
