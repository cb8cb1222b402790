"""RemoveAlias and BatchRemoveAliases: which session token is removed from which profile."""

from server import limits
from server.model import AliasRemoval
from server.users.ids import alias_digest, requested_profile_id, require_text


def plan_remove_alias(application_id: str, user_id: str, session_token: str) -> AliasRemoval:
    """The removal of a session token from a user.

    Raises InvalidRequest, which names the field that is empty or too long.
    """
    profile_id = requested_profile_id(application_id, "user_id", user_id)
    require_text("session_token", session_token, limits.TEXT_BYTES)
    return AliasRemoval(profile_id, alias_digest(application_id, session_token))
