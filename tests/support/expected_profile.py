"""The merge table, implemented as simply as possible: the profile that a sequence of updates must leave.

It shares no code with the server and works on unescaped keys. Property tests compare the server's profiles with it.
"""

import copy
from typing import Any

RESERVED = {"email", "name", "first_name", "last_name", "phone", "photo_url"}


class ReferenceProfile:
    """One profile. `fold` applies an update, given as a JSON object."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.campaign: dict[str, Any] = {}
        self.initial_campaign: dict[str, Any] = {}
        self.latest_campaign: dict[str, Any] = {}
        self.initial_campaign_time: str | None = None
        self.latest_campaign_time: str | None = None
        """Those that were sent as `modified_time`."""
        self.tokens: list[str] = []
        self.last_modified_time_was_sent = False
        self.observed_ip_address: str | None = None

    def fold(self, update: dict[str, Any], client_address: str | None = None) -> None:
        cleared = update.get("clear_fields") or []
        for name in cleared:
            self.fields.pop(name, None)
        if "campaign" in cleared:
            self.campaign = {}
        if "initial_campaign" in cleared:
            self.initial_campaign, self.initial_campaign_time = {}, None
        if "latest_campaign" in cleared:
            self.latest_campaign, self.latest_campaign_time = {}, None
        if "observed_ip_address" in cleared:
            self.observed_ip_address = None
        elif not update.get("ip_address") and client_address:
            self.observed_ip_address = client_address
        for name in ("company_id", "modified_time", "ip_address", "user_agent_string", "anonymous_id"):
            if update.get(name) is not None:
                self.fields[name] = update[name]
        self.last_modified_time_was_sent = update.get("modified_time") is not None
        for name, value in dict(update.get("campaign") or {}).items():
            if value is not None:
                self.campaign[name] = value
        campaign = {name: value for name, value in dict(update.get("campaign") or {}).items() if value is not None}
        if any(campaign.values()):
            self.latest_campaign, self.latest_campaign_time = campaign, update.get("modified_time")
            if not self.initial_campaign:
                self.initial_campaign, self.initial_campaign_time = campaign, update.get("modified_time")
        token = update.get("session_token")
        if token and token not in self.tokens:
            self.tokens = [*self.tokens, token][-1000:]
        metadata = copy.deepcopy(update.get("metadata") or {})
        for name in RESERVED & set(metadata):
            value = metadata[name]
            if isinstance(value, bool):
                metadata[name] = "true" if value else "false"
            elif isinstance(value, int | float):
                metadata[name] = str(value)
        self.metadata = merged(self.metadata, exact(metadata))


def exact(value: Any) -> Any:
    """`value` with each integer that a double cannot hold replaced by a string of its decimal digits."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return str(value) if type(value) is int and int(float(value)) != value else value


def merged(stored: Any, sent: dict[str, Any]) -> dict[str, Any]:
    """The result of merging `sent` into `stored`, which may be any value."""
    result = dict(stored) if isinstance(stored, dict) else {}
    for key, value in sent.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key), value)
        else:
            result[key] = value
    return result
