"""The merge table, implemented as simply as possible: the profile that a sequence of updates must leave.

It shares no code with the server and works on unescaped keys. Property tests compare the server's profiles with it.
"""

import copy
import json
import re
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
        if token:
            self.tokens = [*(each for each in self.tokens if each != token), token][-1000:]
        metadata = copy.deepcopy(update.get("metadata") or {})
        for name in RESERVED & set(metadata):
            value = metadata[name]
            if isinstance(value, bool):
                metadata[name] = "true" if value else "false"
            elif isinstance(value, int | float):
                metadata[name] = str(value)
        self.metadata = merged(self.metadata, exact(metadata))
        for operation in update.get("metadata_operations") or []:
            self.metadata = operated(self.metadata, exact(operation))


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


def operated(metadata: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The metadata after an operation."""
    *parents, key = operation["path"]
    if operation.get("union") == [] or operation.get("remove") == []:
        return metadata
    result = inner = copy.deepcopy(metadata)
    for parent in parents:
        if not isinstance(inner.get(parent), dict):
            inner[parent] = {}
        inner = inner[parent]
    if (value := operation.get("set_once")) is not None:
        if key not in inner:
            inner[key] = merged({}, value) if isinstance(value, dict) else value
    elif (values := operation.get("union")) is not None:
        array = inner.get(key)
        inner[key] = array if isinstance(array, list) else []
        for value in values:
            if same(value) not in map(same, inner[key]):
                inner[key] = [*inner[key], value]
    elif (values := operation.get("remove")) is not None:
        if isinstance(inner.get(key), list):
            inner[key] = [item for item in inner[key] if same(item) not in map(same, values)]
    elif (value := operation.get("minimum")) is not None:
        if ordered(inner.get(key), value) is not True:
            inner[key] = value
    elif ordered(value := operation["maximum"], inner.get(key)) is not True:
        inner[key] = value
    return result


def same(value: Any) -> str:
    """A text that equal JSON values have."""
    return json.dumps(normal(value), sort_keys=True)


def normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def ordered(one: Any, other: Any) -> bool | None:
    """Whether the first of two values is at most the second; None if they are not of one kind."""
    kinds = [(type(value) in (int, float), moment(value)) for value in (one, other)]
    if kinds[0][0] and kinds[1][0]:
        return bool(one <= other)
    first, second = kinds[0][1], kinds[1][1]
    return None if first is None or second is None else first <= second


def moment(value: Any) -> tuple[int, ...] | None:
    """The year, month, day, hour, minute, second and nanosecond of a time or date."""
    if not isinstance(value, str) or not re.fullmatch(
        r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?Z)?", value, re.ASCII
    ):
        return None
    *parts, fraction = [*re.split("[^0-9]+", value.split(".")[0].rstrip("Z")), value.partition(".")[2].rstrip("Z")]
    numbers = [int(part) for part in parts] + [0] * (6 - len(parts))
    return (*numbers, int(fraction.ljust(9, "0")))
