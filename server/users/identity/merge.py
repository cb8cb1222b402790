"""MergeUsers: which user becomes a part of which."""

from server.errors import InvalidRequest, Violation
from server.model import UserMerge
from server.users.ids import requested_profile_id


def plan_merge(application_id: str, user_id: str, source_user_id: str) -> UserMerge:
    """The merge of one user into another one. Raises InvalidRequest, which names the field."""
    target = requested_profile_id(application_id, "user_id", user_id)
    source = requested_profile_id(application_id, "source_user_id", source_user_id)
    if source == target:
        raise InvalidRequest([Violation("source_user_id", "CONFLICT", "must be another user than user_id")])
    return UserMerge(source, target)
