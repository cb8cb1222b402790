"""GetUser, GetCompany and BatchGetUsers: which profile is read."""

from server.model import USERS, ProfileKind
from server.users.ids import requested_profile_id


def plan_get(application_id: str, field: str, key: str, kind: ProfileKind = USERS) -> str:
    """The `_id` of the profile whose id is in `field`. Raises InvalidRequest, which names the field."""
    return requested_profile_id(application_id, field, key, kind)
