"""What the plain applications write: the MongoDB update of one user, plain and with Userfold's schema."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

Operation: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""A filter and an update document."""

APPLICATION_ID = "plain"


class Campaign(Protocol):
    """The model of a campaign."""

    def model_dump(self, *, exclude_none: bool) -> dict[str, Any]:
        """The fields that are set."""


class User(Protocol):
    """The model of a partial update."""

    user_id: str
    company_id: str | None
    session_token: str | None
    modified_time: datetime | None
    ip_address: str | None
    user_agent_string: str | None
    metadata: dict[str, Any] | None

    @property
    def campaign(self) -> Campaign | None:
        """The campaign, if there is one."""


def flatten(values: Mapping[str, Any], prefix: str, paths: dict[str, Any]) -> None:
    """Add the leaves of nested objects to `paths` under their dot-paths."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flatten(value, f"{prefix}{key}.", paths)
        else:
            paths[prefix + key] = value


def operation(user: User, client_address: str | None) -> Operation:
    """The filter and the update document that merge a partial update into the stored user."""
    now = datetime.now(UTC)
    paths: dict[str, Any] = {"modified_time": user.modified_time or now}
    for name in ("company_id", "user_agent_string"):
        if (value := getattr(user, name)) is not None:
            paths[name] = value
    if address := user.ip_address or client_address:
        paths["ip_address"] = address
    if user.campaign:
        flatten(user.campaign.model_dump(exclude_none=True), "campaign.", paths)
    if user.metadata:
        flatten(user.metadata, "metadata.", paths)
    update: dict[str, Any] = {"$set": paths, "$setOnInsert": {"created_time": now}}
    if user.session_token:
        update["$addToSet"] = {"aliases": hashlib.sha256(user.session_token.encode()).digest()}
    return {"_id": user.user_id}, update


def schema_operation(user: User, client_address: str | None) -> Operation:
    """The same, with the fields that Userfold's indexes hold, and with the user's first campaign kept."""
    criteria, update = operation(user, client_address)
    update["$setOnInsert"] |= {"application_id": APPLICATION_ID, "user_id": user.user_id}
    if email := (user.metadata or {}).get("email"):
        digest = hashlib.sha256(str(email).strip().lower().encode()).hexdigest()
        update["$set"]["avatar_url"] = f"https://www.gravatar.com/avatar/{digest}"
        update["$set"]["email_key"] = str(email).strip().lower()
    if user.campaign and (campaign := user.campaign.model_dump(exclude_none=True)):
        # $slice keeps the first element that was ever pushed.
        update["$push"] = {"initial_campaign": {"$each": [campaign], "$slice": 1}}
    return criteria, update
