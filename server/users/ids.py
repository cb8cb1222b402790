"""The ids and digests that profiles are stored under."""

import hashlib

from server import limits
from server.errors import InvalidRequest
from server.model import USERS, ProfileKind
from server.query.strings import text_violation


def profile_id(application_id: str, user_id: str) -> str:
    """The `_id` of a user's profile."""
    return id_of(USERS, application_id, user_id)


def id_of(kind: ProfileKind, application_id: str, key: str) -> str:
    """The `_id` of the profile of a kind that callers know by `key`.

    It is a digest, because an erasure that suppresses later updates keeps the `_id`.
    """
    return f"{application_id}/{kind.letter}/{_digest(application_id, kind.letter, key)}"


def users_prefix(application_id: str) -> str:
    """What the `_id` of every user of an application begins with. The digest follows."""
    return f"{application_id}/u/"


def visitor_id(application_id: str, anonymous_id: str) -> str:
    """The `_id` of the profile of a visitor without a user id."""
    return f"{application_id}/a/{_digest(application_id, 'a', anonymous_id)}"


def sampled_ids(application_id: str) -> tuple[str, str]:
    """The first `_id` of a sample of the users of an application, and its end. It holds one user in 256."""
    return f"{application_id}/u/00", f"{application_id}/u/01"


def middle_id(application_id: str) -> str:
    """An `_id` that halves the users of an application: digests are evenly distributed."""
    return f"{application_id}/u/8"


def alias_digest(application_id: str, session_token: str) -> bytes:
    """The 32 bytes that are stored for a session token.

    They do not reveal the token, nor match in another application. An application id holds no NUL, so no two pairs
    have the same digest.
    """
    return hashlib.sha256(f"{application_id}\0{session_token}".encode()).digest()


def requested_profile_id(application_id: str, field: str, key: str, kind: ProfileKind = USERS) -> str:
    """The `_id` of the profile whose id is in `field`. Raises InvalidRequest, which names the field."""
    require_text(field, key, limits.ID_BYTES)
    return id_of(kind, application_id, key)


def require_text(field: str, text: str, max_bytes: int) -> None:
    """Raise InvalidRequest if `text` is empty or longer than an update may carry."""
    if violation := text_violation(field, text, max_bytes):
        raise InvalidRequest([violation])


def _digest(application_id: str, kind: str, key: str) -> str:
    # Neither an application id nor a kind holds NUL, so no two keys have the same digest.
    return hashlib.sha256(f"{application_id}\0{kind}\0{key}".encode()).hexdigest()
