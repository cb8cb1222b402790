"""LookupUsers: which stored field the users of a token, an address, a company or an anonymous id have in common.

Their order is that of the updates that were stored last. Of a token, the users who sent it last, and no other one
since, come first.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, cast

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import Fetched, Lookup, LookupPosition, LookupRequest
from server.query.page_token import PageTokens, page_size
from server.query.strings import text_violation
from server.users.derive import email_facts
from server.users.finding.email_keys import irregular_key, migrated_keys
from server.users.ids import alias_digest

TOKENS: Final = "aliases"
"""The stored field of the digests of session tokens."""

_EMAIL_KEY: Final = "email_key"

SENT_ALIAS: Final = "sent_alias"
"""The stored field with what `sent_alias` returns."""

SENT_TIME: Final = "sent_time"
"""When the token of a look-up was sent, of users who sent no other one since. It is computed, not stored."""

_TIMES: Final = ("stored_time",)
_TIMES_OF_TOKEN: Final = (SENT_TIME, "stored_time")

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
        elif name == "email" and email_facts(text) is None and irregular_key(text) is None:
            violations.append(Violation(name, "NOT_AN_EMAIL_ADDRESS", "must be an email address"))
    if violations:
        raise InvalidRequest(violations)
    ((name, text),) = request.known.items()
    lookup = _lookup(application_id, name, text, page_size(request.page_size))
    if not request.page_token:
        return lookup
    *times, key = cast(Sequence[str], tokens.open(request.page_token, subject_of_lookup(lookup), now))
    return replace(lookup, after=(*[datetime.fromisoformat(time) if time else None for time in times], key))


def order_of(lookup: Lookup) -> Sequence[str]:
    """The times that order a look-up: the latest first, then by `_id`. Users without such a time are last.

    Profiles of version 0.1 have no `stored_time`.
    """
    return _TIMES_OF_TOKEN if lookup.field == TOKENS else _TIMES


def position_in(lookup: Lookup, user: Fetched) -> LookupPosition:
    """Where a user is in the order of a look-up."""
    if lookup.field != TOKENS:
        stored_time, key = user.position((*_TIMES, "_id"))
        return cast(LookupPosition, (stored_time, key))
    sent, stored_time, key = user.position((SENT_ALIAS, "stored_time", "_id"))
    latest = cast(Mapping[str, object], sent or {})
    sent_time = latest["time"] if latest.get("alias") == lookup.value else None
    return cast(LookupPosition, (sent_time, stored_time, key))


def sent_alias(alias: bytes, stored_time: object) -> dict[str, object]:
    """The token that was sent last: its digest, and the `stored_time` of its update.

    With it, the validator refuses an update on dot-paths whose alias was stored before, and is not the last one: only
    the exact update moves it there (see `mongo/client.py`).
    """
    return {"alias": alias, "time": stored_time}


def subject_of_lookup(lookup: Lookup) -> Sequence[str]:
    """What a page token is bound to: which users are looked up, and their order."""
    value = lookup.value
    text = value.hex() if isinstance(value, bytes) else str(value)
    if lookup.field == _EMAIL_KEY:
        # No token holds an address, even if it is opened.
        text = hashlib.sha256(text.encode()).hexdigest()
    return lookup.application_id, "LookupUsers", lookup.field, text, *order_of(lookup)


def _lookup(application_id: str, name: str, text: str, limit: int) -> Lookup:
    """The first page of a look-up."""
    if name == "session_token":
        return Lookup(application_id, TOKENS, alias_digest(application_id, text), limit)
    if name == "anonymous_id":
        # Earlier versions stored the latest one alone.
        return Lookup(application_id, "anonymous_ids", text, limit, older_forms=[(name, [text])])
    if name != "email":
        return Lookup(application_id, name, text, limit)
    if facts := email_facts(text):
        # Earlier versions stored no key, or one of the address as it was sent. The picture holds the digest of the
        # address in lower case.
        pictures = facts.avatar_url, *facts.older_pictures
        return Lookup(application_id, _EMAIL_KEY, facts.email_key, limit, older_forms=[("avatar_url", pictures)])
    key = irregular_key(text)
    migrated = [each for each in migrated_keys(text) if each != key]
    return Lookup(application_id, _EMAIL_KEY, key, limit, older_forms=[(_EMAIL_KEY, migrated)] if migrated else ())
