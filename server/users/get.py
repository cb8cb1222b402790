"""GetUser and BatchGetUsers: which profile is read."""

from server.users.ids import requested_profile_id


def plan_get(application_id: str, field: str, user_id: str) -> str:
    """The `_id` of the profile of the user whose id is in `field`. Raises InvalidRequest, which names the field."""
    return requested_profile_id(application_id, field, user_id)
