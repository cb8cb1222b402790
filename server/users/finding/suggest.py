"""SuggestUsers: the users whose ids or email addresses begin with a text."""

from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar, cast

from server import limits
from server.model import Fetched, Prefix
from server.query.field_mask import parse_mask
from server.query.page_token import page_size
from server.users.finding.email_keys import key_prefixes
from server.users.ids import require_text

SUGGESTED: Final = parse_mask(
    ["company_id", "stored_time", *(f"metadata.{name}" for name in ("email", "name", "first_name", "last_name"))]
)
"""What a suggestion holds of a user, beside the id."""

_User = TypeVar("_User")


def plan_suggestions(application_id: str, text: str, requested_size: int) -> Sequence[Prefix]:
    """The users by id, and then by the forms of email addresses that can begin with `text`. Raises InvalidRequest."""
    require_text("text", text, limits.ID_BYTES)
    limit = page_size(requested_size, limits.SUGGESTIONS_BY_DEFAULT, limits.SUGGESTIONS)
    emails = [Prefix(application_id, "email_key", each, limit) for each in key_prefixes(text)]
    return [Prefix(application_id, "user_id", text, limit), *emails]


def user_id_of(user: Fetched) -> str:
    """The id of a user who is not yet decoded."""
    return cast(str, user.position(("user_id",))[0])


def merged(
    by_id: Sequence[_User], by_email: Sequence[_User], key: Callable[[_User], Hashable], limit: int
) -> tuple[Sequence[_User], Sequence[_User]]:
    """The users to suggest by their ids, and those by their addresses: `limit` in all, or all that there are.

    Each half of the suggestions belongs to one list as far as it has users, so that neither displaces the other. No
    user, who is known by `key`, is in both.
    """
    keys = [key(user) for user in by_id]
    count = min(len(by_id), -(-limit // 2))
    while True:
        shown = set(keys[:count])
        others = [user for user in by_email if key(user) not in shown]
        if count == len(by_id) or count + len(others) >= limit:
            return by_id[:count], others[: limit - count]
        count += 1
