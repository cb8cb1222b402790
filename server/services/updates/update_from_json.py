"""Updates as JSON objects, which gateways send (see userfold/internal/v1/user_update_service.proto)."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from userfold.v1 import campaign_pb2, company_pb2, user_pb2

from server import limits
from server.errors import InvalidRequest, Violation
from server.model import CompanyUpdate, ProfileUpdate, UserUpdate
from server.services.metadata_from_json import object_from_json
from server.services.metadata_operations import operations_from_json
from server.services.timestamp import nanoseconds

_OF_USERS: Final = frozenset(user_pb2.UserUpdate.DESCRIPTOR.fields_by_name) - {"metadata_json"}
_OF_COMPANIES: Final = frozenset(company_pb2.CompanyUpdate.DESCRIPTOR.fields_by_name) - {"metadata_json"}
_CAMPAIGN: Final = frozenset(campaign_pb2.Campaign.DESCRIPTOR.fields_by_name)
_STRINGS: Final = ("company_id", "ip_address", "session_token", "user_agent_string", "etag")
_STRINGS_OF_USERS: Final = ("user_id", *_STRINGS, "anonymous_id")
_STRINGS_OF_COMPANIES: Final = (*_STRINGS, "company_domain")
_STRING_OR_NULL: Final = (str, type(None))

_Update = TypeVar("_Update", bound=ProfileUpdate)


def update_from_json(data: bytes, client_address: str | None) -> UserUpdate:
    """The update in a JSON object in UTF-8. Raises InvalidRequest for anything that is not the JSON of an update."""
    get = _members(data, "user", _OF_USERS, _STRINGS_OF_USERS)
    update = UserUpdate(get("user_id") or "", get("company_id"), get("anonymous_id") or None)
    return _filled(update, get, client_address)


def company_update_from_json(data: bytes, client_address: str | None) -> CompanyUpdate:
    """As `update_from_json`, of a company."""
    get = _members(data, "company", _OF_COMPANIES, _STRINGS_OF_COMPANIES)
    return _filled(CompanyUpdate(get("company_id") or "", get("company_domain")), get, client_address)


def _members(data: bytes, field: str, known: frozenset[str], strings: tuple[str, ...]) -> Callable[[str], Any]:
    """What returns the members of a JSON object, of which these must be strings or null."""
    sent: dict[str, Any] = object_from_json(data, field)
    get = sent.get
    for name in strings:
        if type(get(name)) not in _STRING_OR_NULL:
            raise _wrong_type(name)
    if not sent.keys() <= known:
        raise InvalidRequest([Violation(field, "UNKNOWN_FIELD", "has a member that is unknown")])
    return get


def _filled(update: _Update, get: Callable[[str], Any], client_address: str | None) -> _Update:
    """The update with all that updates of any kind have."""
    metadata, campaign, latest = get("metadata"), get("campaign"), get("latest_campaign")
    modified_time, clear_fields = get("modified_time"), get("clear_fields")
    if metadata is not None and type(metadata) is not dict:
        raise _wrong_type("metadata")
    if campaign is not None:
        _require_campaign("campaign", campaign)
    if latest is not None:
        _require_campaign("latest_campaign", latest)
        update.latest_campaign = latest
        if (latest_time := get("latest_campaign_time")) is not None:
            update.latest_campaign_time = _nanoseconds("latest_campaign_time", latest_time)
    if clear_fields is not None:
        _require_strings(clear_fields)
        update.clear_fields = clear_fields
    if (operations := get("metadata_operations")) is not None:
        update.metadata_operations = operations_from_json(operations)
    if modified_time is not None:
        update.modified_time = _nanoseconds("modified_time", modified_time)
    # An empty string is the same as an absent one.
    update.ip_address = get("ip_address") or None
    update.session_token = get("session_token") or None
    update.user_agent_string = get("user_agent_string") or None
    update.metadata, update.campaign = metadata, campaign
    update.client_address = client_address
    update.etag = get("etag") or None
    return update


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
