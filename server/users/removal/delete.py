"""DeleteUser, DeleteCompany and BatchDeleteUsers: which profile is erased, and until when updates are suppressed."""

from datetime import datetime, timedelta

from server import limits
from server.errors import InvalidRequest, Violation
from server.merge.times import stored_time
from server.model import USERS, Erasure, ProfileKind
from server.users.ids import requested_profile_id


def plan_delete(
    application_id: str, field: str, key: str, suppressed_until: datetime | None, kind: ProfileKind = USERS
) -> Erasure:
    """The erasure of the profile whose id is in `field`. Raises InvalidRequest, which names the field."""
    return Erasure(application_id, requested_profile_id(application_id, field, key, kind), suppressed_until)


def plan_suppression(days: int, now: int) -> datetime | None:
    """When the suppression of `days` ends, which begins at `now`, in nanoseconds since 1970-01-01 UTC.

    None if nothing is to be suppressed. Raises InvalidRequest, which names `suppress_days`.
    """
    if not 0 <= days <= limits.SUPPRESS_DAYS:
        description = f"must be 1 to {limits.SUPPRESS_DAYS:,} days, or 0 for none"
        raise InvalidRequest([Violation("suppress_days", "OUT_OF_RANGE", description)])
    return stored_time(now)[0] + timedelta(days=days) if days else None
