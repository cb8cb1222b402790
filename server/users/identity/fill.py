"""Absorption: what a user's profile gets of the profile of a visitor, or of another user, who becomes that user.

These are the rules of docs/identity.md as a pure function of two stored documents.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from server import limits
from server.model import JsonObject
from server.users.campaigns import first_campaign_of
from server.users.finding.lookup import SENT_ALIAS

ABSORPTIONS: Final = "absorptions"
"""The stored field with the ids of the latest absorptions, which are repeated after an interruption."""

MERGED_USER_IDS: Final = "merged_user_ids"
ANONYMOUS_IDS: Final = "anonymous_ids"

_ALONE: Final = ("company_id", "ip_address", "observed_ip_address", "anonymous_id")
_TOGETHER: Final = (("user_agent_string", "user_agent"),)
_OF_EMAIL: Final = ("avatar_url", "email_domain", "company_domain", "email_key")


def fill(user: Mapping[str, Any], absorbed: Mapping[str, Any], absorption: object) -> dict[str, Any]:
    """The fields of a user's document that change when it absorbs another document, with their new values.

    The id of the `absorption` is added. Nothing of the user is lost but the oldest of what has a limited number.
    """
    filled = {
        **_filled_fields(user, absorbed),
        **_first_touch(user, absorbed),
        **_latest_touch(user, absorbed),
        **_united(user, "aliases", absorbed.get("aliases", ()), limits.ALIASES),
        **_sent_alias(user, absorbed),
        **_united(user, ANONYMOUS_IDS, anonymous_ids_of(absorbed), limits.ANONYMOUS_IDS),
        **_appended(user, MERGED_USER_IDS, _user_ids_of(absorbed), limits.MERGED_USERS),
        **_appended(user, ABSORPTIONS, [*absorbed.get(ABSORPTIONS, ()), absorption], limits.ABSORPTIONS),
    }
    for name in ("metadata", "campaign"):
        stored, other = user.get(name, {}), absorbed.get(name, {})
        if (merged := filled_object(stored, other)) is not stored:
            filled[name] = merged
    if "email" in absorbed.get("metadata", {}) and "email" not in user.get("metadata", {}):
        filled |= {name: absorbed[name] for name in _OF_EMAIL if name in absorbed}
    if (stored_time := _latest(user.get("stored_time"), absorbed.get("stored_time"))) != user.get("stored_time"):
        filled["stored_time"] = stored_time
    return filled


def filled_object(stored: JsonObject, other: JsonObject) -> JsonObject:
    """The stored object with what it lacks of the other one, at every depth. The same object if it lacks nothing."""
    added: JsonObject = {}
    for key, value in other.items():
        if key not in stored:
            added[key] = value
        elif isinstance(inner := stored[key], dict) and isinstance(value, dict):
            merged = filled_object(inner, value)
            if merged is not inner:
                added[key] = merged
    return {**stored, **added} if added else stored


def anonymous_ids_of(document: Mapping[str, Any]) -> Sequence[str]:
    """The anonymous ids of a stored user or visitor, the latest last. A document of an earlier version has only one."""
    ids: Sequence[str] = document.get(ANONYMOUS_IDS, ())
    last = document.get("anonymous_id")
    return ids if last is None or last in ids else [*ids, last]


def _user_ids_of(document: Mapping[str, Any]) -> Sequence[str]:
    own = [document["user_id"]] if "user_id" in document else []
    return [*document.get(MERGED_USER_IDS, ()), *own]


def _filled_fields(user: Mapping[str, Any], absorbed: Mapping[str, Any]) -> dict[str, Any]:
    filled = {name: absorbed[name] for name in _ALONE if name in absorbed and name not in user}
    for names in _TOGETHER:
        if names[0] not in user:
            filled |= {name: absorbed[name] for name in names if name in absorbed}
    return filled


def _first_touch(user: Mapping[str, Any], absorbed: Mapping[str, Any]) -> dict[str, Any]:
    """The earlier time of creation, and the campaign of the older first touch."""
    changed: dict[str, Any] = {}
    if absorbed["created_time"] < user["created_time"]:
        changed["created_time"] = absorbed["created_time"]
    if absorbed.get("initial_campaign") and _is_first_touch_older(absorbed, user):
        changed["initial_campaign"] = absorbed["initial_campaign"]
    return changed


def _is_first_touch_older(absorbed: Mapping[str, Any], user: Mapping[str, Any]) -> bool:
    if not user.get("initial_campaign"):
        return True
    (_, time), (_, users_time) = first_campaign_of(absorbed), first_campaign_of(user)
    if time is not None and users_time is not None:
        return time < users_time
    # Of one of them, the time is not known.
    return bool(absorbed["created_time"] < user["created_time"])


def _latest_touch(user: Mapping[str, Any], absorbed: Mapping[str, Any]) -> dict[str, Any]:
    """The later one of both latest campaigns, with its time."""
    time, users_time = absorbed.get("latest_campaign_time"), user.get("latest_campaign_time")
    if time is None or (users_time is not None and users_time >= time):
        return {}
    return {"latest_campaign": absorbed["latest_campaign"], "latest_campaign_time": time}


def _sent_alias(user: Mapping[str, Any], absorbed: Mapping[str, Any]) -> dict[str, Any]:
    """The alias that was sent last. Those of the user are the latest, if it has any."""
    return {SENT_ALIAS: absorbed[SENT_ALIAS]} if SENT_ALIAS in absorbed and not user.get("aliases") else {}


def _united(user: Mapping[str, Any], name: str, older: Iterable[Any], limit: int) -> dict[str, Any]:
    """The values of a field with those of the absorbed profile, which are before those of the user, the latest last."""
    own: Sequence[Any] = user.get(name, ())
    known = set(own)
    added = [value for value in dict.fromkeys(older) if value not in known]
    return {name: [*added, *own][-limit:]} if added else {}


def _appended(user: Mapping[str, Any], name: str, newer: Iterable[Any], limit: int) -> dict[str, Any]:
    """The values of a field with those of the absorbed profile, which are the latest."""
    own: Sequence[Any] = user.get(name, ())
    added = [value for value in newer if value not in own]
    return {name: [*own, *added][-limit:]} if added else {}


def _latest(one: Any, other: Any) -> Any:
    return cast(Any, other if one is None or (other is not None and other > one) else one)
