"""Updates as JSON objects, which gateways send (see userfold/internal/v1/user_update_service.proto)."""

from typing import Any, Final

from userfold.v1 import campaign_pb2, user_pb2

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import UserUpdate
from server.services.metadata_from_json import object_from_json
from server.services.metadata_operations import operations_from_json
from server.services.timestamp import nanoseconds

_MEMBERS: Final = frozenset(user_pb2.UserUpdate.DESCRIPTOR.fields_by_name) - {"metadata_json"}
_CAMPAIGN: Final = frozenset(campaign_pb2.Campaign.DESCRIPTOR.fields_by_name)
_STRINGS: Final = (
    "user_id",
    "company_id",
    "ip_address",
    "session_token",
    "user_agent_string",
    "anonymous_id",
    "etag",
)
_STRING_OR_NULL: Final = (str, type(None))


def update_from_json(data: bytes, client_address: str | None) -> UserUpdate:
    """The update in a JSON object in UTF-8. Raises InvalidRequest for anything that is not the JSON of an update."""
    sent: dict[str, Any] = object_from_json(data, "user")
    get = sent.get
    for name in _STRINGS:
        if type(get(name)) not in _STRING_OR_NULL:
            raise _wrong_type(name)
    if not sent.keys() <= _MEMBERS:
        raise InvalidRequest([Violation("user", "UNKNOWN_FIELD", "has a member that is unknown")])
    metadata, campaign = get("metadata"), get("campaign")
    modified_time, clear_fields = get("modified_time"), get("clear_fields")
    operations = get("metadata_operations")
    if metadata is not None and type(metadata) is not dict:
        raise _wrong_type("metadata")
    latest, latest_time = get("latest_campaign"), get("latest_campaign_time")
    if campaign is not None:
        _require_campaign("campaign", campaign)
    if latest is not None:
        _require_campaign("latest_campaign", latest)
    if clear_fields is not None:
        _require_strings(clear_fields)
    return UserUpdate(
        user_id=get("user_id") or "",
        company_id=get("company_id"),
        modified_time=None if modified_time is None else _nanoseconds("modified_time", modified_time),
        # An empty string is the same as an absent one.
        ip_address=get("ip_address") or None,
        session_token=get("session_token") or None,
        user_agent_string=get("user_agent_string") or None,
        metadata=metadata,
        campaign=campaign,
        latest_campaign=latest,
        latest_campaign_time=None if latest_time is None else _nanoseconds("latest_campaign_time", latest_time),
        anonymous_id=get("anonymous_id") or None,
        client_address=client_address,
        clear_fields=clear_fields or (),
        etag=get("etag") or None,
        metadata_operations=operations_from_json(operations) if operations else (),
    )


def _require_campaign(name: str, campaign: object) -> None:
    if type(campaign) is not dict or not campaign.keys() <= _CAMPAIGN:
        raise _wrong_type(name)
    for value in campaign.values():
        if type(value) is not str:
            raise _wrong_type(name)


def _require_strings(names: object) -> None:
    # One more than the limit, so that the plan refuses it.
    if type(names) is not list or any(type(name) is not str for name in names[: limits.CLEAR_FIELDS + 1]):
        raise _wrong_type("clear_fields")


def _nanoseconds(name: str, time: object) -> int:
    if type(time) is not list or [type(part) for part in time[:3]] != [int, int]:
        raise _wrong_type(name)
    return nanoseconds(name, *time)


def _wrong_type(name: str) -> InvalidRequest:
    return InvalidRequest([Violation(name, "WRONG_TYPE", "has another type than in an update")])
