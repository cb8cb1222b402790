"""Users and companies with every field that the models of the client libraries have, and how they must be stored."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from tests.clients import profiles
from tests.support.stack import Api

Update: TypeAlias = Mapping[str, Any]

_CAMPAIGN: Final = profiles.CAMPAIGN | {
    "referrer": "https://www.example.com/search?q=profiles",
    "referring_domain": "www.example.com",
    "gclid": "Cj0KCQ",
}

_METADATA: Final = {
    "email": "zoe@acmeinc.com",
    "first_name": "Zoë 🦉",
    "plan.name": "a dot",
    "$seats": 24000,
    "": "no key",
    "0": 12.5,
    # No null in the list: the package of npm would remove it before it sends the update.
    "flags": {"beta": True, "none": {}, "list": [1, {"a": []}, "x"]},
}

_SHARED: Final = {
    "modified_time": "2026-01-02T03:04:05.678Z",
    "ip_address": "203.0.113.7",
    "session_token": "token",
    "campaign": _CAMPAIGN,
    "metadata": _METADATA,
}

_FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"


def users(prefix: str) -> Sequence[Update]:
    """Updates of three users, whose ids begin with the prefix: with all fields, with few, with none."""
    return [
        {"user_id": f"{prefix}-all", "company_id": f"{prefix}-all", "user_agent_string": _FIREFOX, **_SHARED},
        {"user_id": f"{prefix}-few", "metadata": {"email": "john@acmeinc.com"}},
        {"user_id": f"{prefix}-none"},
    ]


def companies(prefix: str) -> Sequence[Update]:
    """Updates of three companies, whose ids begin with the prefix: with all fields, with few, with none."""
    return [
        {"company_id": f"{prefix}-all", "company_domain": "acmeinc.com", **_SHARED},
        {"company_id": f"{prefix}-few", "metadata": {"plan": "free"}},
        {"company_id": f"{prefix}-none"},
    ]


def returned_user(api: Api, update: Update) -> Any:
    """The profile of the user of an update, as stored_user() expects it."""
    return profiles.returned_profile(api, update["user_id"], is_timed="modified_time" in update)


def stored_user(update: Update) -> Update:
    """The profile of a user after this one update, without the times that the server sets."""
    fields = {name: value for name, value in update.items() if name not in ("user_id", "session_token")}
    stored = profiles.profile(update["user_id"], alias_count=int("session_token" in update), **fields)
    if "ip_address" in update:
        del stored["observed_ip_address"]
    if "user_agent_string" in update:
        stored["user_agent"] = {"browser": {"name": "Firefox", "version": "121.0"}, "os": {"name": "Linux"}}
    return stored


def returned_company(api: Api, update: Update) -> Any:
    """The profile of the company of an update, as stored_company() expects it."""
    return profiles.returned_company(api, update["company_id"], is_timed="modified_time" in update)


def stored_company(update: Update) -> Update:
    """The profile of a company after this one update, without the times that the server sets."""
    # A company has no aliases, and nothing is derived from the email address in its metadata.
    fields = {name: value for name, value in update.items() if name not in ("company_id", "session_token")}
    stored = profiles.company(update["company_id"], **fields)
    if "ip_address" in update:
        del stored["observed_ip_address"]
    return stored
