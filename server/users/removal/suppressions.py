"""ListSuppressions and LiftSuppression: which suppressions a page holds, and which one is lifted."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.query.page_token import PageTokens, Position, page_size
from server.users.ids import requested_profile_id


@dataclass(frozen=True, slots=True)
class SuppressionPage:
    """One page: at most `limit` suppressions of an application, in the order of their digests, after the digest
    `after`. With a `profile_id`, only that of this user.
    """

    application_id: str
    limit: int
    after: str = ""
    profile_id: str | None = None


def plan_suppressions(
    application_id: str, user_id: str, size: int, page_token: str, tokens: PageTokens, now: int
) -> SuppressionPage:
    """The page that a request asks for at `now`, in nanoseconds since 1970-01-01 UTC. Raises InvalidRequest."""
    limit = page_size(size)
    profile_id = requested_profile_id(application_id, "user_id", user_id) if user_id else None
    after = ""
    if page_token:
        (after,) = map(str, tokens.open(page_token, _subject(application_id, user_id), now))
    return SuppressionPage(application_id, limit, after, profile_id)


def next_page_token(application_id: str, user_id: str, last: str, tokens: PageTokens, now: int) -> str:
    """The token of the page after the digest `last`."""
    position: Position = [last]
    return tokens.seal(position, _subject(application_id, user_id), now)


def plan_lift(application_id: str, user_id: str) -> str:
    """The `_id` under which a suppression is stored. Raises InvalidRequest."""
    return requested_profile_id(application_id, "user_id", user_id)


def _subject(application_id: str, user_id: str) -> Sequence[str]:
    return application_id, "suppressions", user_id
