"""Who a session token, an email address or a company belongs to: from a request to what the profiles have in common."""

from collections.abc import Mapping
from typing import Final

from server import limits
from server.derive import alias_digest, email_facts
from server.errors import InvalidRequest, Violation
from server.model import Lookup
from server.texts import text_violation

TOKENS: Final = "aliases"
"""The field that holds a profile's session tokens, as digests that are bound to the application."""

# What an update may carry; no address is nearly as long.
_MOST_BYTES: Final = {
    "session_token": limits.TEXT_BYTES,
    "email": limits.TEXT_BYTES,
    "company_id": limits.ID_BYTES,
}


def plan_lookup(application_id: str, asked: Mapping[str, str], most: int) -> Lookup:
    """The look-up of what is `asked`: one of session_token, email and company_id. Raises InvalidRequest."""
    violations = []
    if len(asked) != 1:
        text = "exactly one of session_token, email and company_id must be set"
        violations.append(Violation("session_token", "NOT_EXACTLY_ONE", text))
    if not 0 <= most <= limits.LOOKUP_USERS:
        violations.append(Violation("max_users", "OUT_OF_RANGE", f"must be 1 to {limits.LOOKUP_USERS:,}, or 0 for 100"))
    for name, text in asked.items():
        if violation := text_violation(name, text, _MOST_BYTES[name]):
            violations.append(violation)
        elif name == "email" and email_facts(text) is None:
            violations.append(Violation(name, "NOT_AN_EMAIL_ADDRESS", "must be an email address"))
    if violations:
        raise InvalidRequest(violations)
    ((name, text),) = asked.items()
    field, value = _stored(application_id, name, text)
    return Lookup(application_id, field, value, most or limits.LOOKUP_USERS_BY_DEFAULT)


def _stored(application_id: str, name: str, text: str) -> tuple[str, object]:
    """The field in which a profile shows that it is asked for, and what it then holds."""
    if name == "session_token":
        return TOKENS, alias_digest(application_id, text)
    if name == "email" and (facts := email_facts(text)):
        # It holds the digest of the address in lower case, so the case does not matter.
        return "avatar_url", facts.avatar_url
    return name, text
