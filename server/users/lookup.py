"""LookupUsers: which stored field the users of a token, an address, a company or an anonymous id have in common."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import Lookup, LookupRequest
from server.query.page_token import PageTokens, page_size
from server.query.strings import text_violation
from server.users.derive import email_facts
from server.users.ids import alias_digest

TOKENS: Final = "aliases"
"""The stored field of the digests of session tokens."""

LATEST_FIRST: Final = ("stored_time", "_id")
"""The stored fields that order a look-up: the latest `stored_time` first, then by `_id`. Profiles of version 0.1 have
no `stored_time` and are last."""

KEY_BYTES: Final = {
    "session_token": limits.TEXT_BYTES,
    "email": limits.TEXT_BYTES,
    "company_id": limits.ID_BYTES,
    "anonymous_id": limits.ID_BYTES,
}
"""What users can be looked up by, and how many bytes each may take: as many as in an update. No email address is as
long."""


def plan_lookup(application_id: str, request: LookupRequest, tokens: PageTokens, now: int) -> Lookup:
    """The look-up of one page, by one of `KEY_BYTES`, at the time `now`.

    `now` is in nanoseconds since 1970-01-01 UTC. Raises InvalidRequest.
    """
    violations = []
    if len(request.known) != 1:
        text = "exactly one of session_token, email, company_id and anonymous_id must be set"
        violations.append(Violation("session_token", "NOT_EXACTLY_ONE", text))
    for name, text in request.known.items():
        if violation := text_violation(name, text, KEY_BYTES[name]):
            violations.append(violation)
        elif name == "email" and email_facts(text) is None:
            violations.append(Violation(name, "NOT_AN_EMAIL_ADDRESS", "must be an email address"))
    if violations:
        raise InvalidRequest(violations)
    ((name, text),) = request.known.items()
    field, value = _stored(application_id, name, text)
    limit = page_size(request.page_size)
    if not request.page_token:
        return Lookup(application_id, field, value, limit)
    time, key = tokens.open(request.page_token, _subject(application_id, field, value), now)
    after = datetime.fromisoformat(cast(str, time)) if time else None, cast(str, key)
    return Lookup(application_id, field, value, limit, after)


def subject_of_lookup(lookup: Lookup) -> Sequence[str]:
    """What a page token is bound to: which users are looked up."""
    return _subject(lookup.application_id, lookup.field, lookup.value)


def _subject(application_id: str, field: str, value: object) -> Sequence[str]:
    # For a session token or an email address, the value is a digest.
    return application_id, "LookupUsers", field, value.hex() if isinstance(value, bytes) else str(value)


def _stored(application_id: str, name: str, text: str) -> tuple[str, object]:
    """The stored field and its value by which a profile is found."""
    if name == "session_token":
        return TOKENS, alias_digest(application_id, text)
    if name == "email" and (facts := email_facts(text)):
        # The URL holds the digest of the address in lower case, so the case does not matter.
        return "avatar_url", facts.avatar_url
    return name, text
