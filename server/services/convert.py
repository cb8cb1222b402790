"""Conversions between protobuf messages and the plain values of the model."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet
from userfold.v1 import (
    campaign_pb2,
    campaign_service_pb2,
    company_pb2,
    company_service_pb2,
    user_agent_pb2,
    user_pb2,
    user_service_pb2,
    visitor_service_pb2,
    warning_pb2,
)

from server import limits
from server.model import (
    CampaignGroup,
    CompanyUpdate,
    JsonObject,
    ListRequest,
    LookupRequest,
    Profile,
    ProfileUpdate,
    ReportRequest,
    StoredUser,
    Suppression,
    UpdateWarning,
    UserUpdate,
    WouldErase,
)
from server.query.fields import CAMPAIGNS
from server.services.metadata_from_json import object_from_json
from server.services.metadata_from_struct import object_from_struct
from server.services.metadata_operations import operations_from_messages
from server.services.timestamp import nanoseconds
from server.users.addresses import MAX_LENGTH
from server.users.finding.company_of_user import CompanyMatch
from server.users.finding.lookup import KEY_BYTES

_ADDRESSES_IN_0_1: Final = 2
"""The number of the field `client_addresses` that a BatchUpdateUsersRequest had in version 0.1."""

_FRAMING: Final = 8
"""The upper bound of what protobuf adds to one update and one address: a tag and a length each."""

# Fields of a profile that are copied unchanged, as far as its message has them.
_COPIED = (
    *("user_id", "company_id", "ip_address", "user_agent_string", "anonymous_id"),
    *("alias_count", "avatar_url", "email_domain", "company_domain", "observed_ip_address", "etag"),
)
_COPIED_TO: Final[Mapping[type[Message], Sequence[str]]] = {
    message: [name for name in _COPIED if name in message.DESCRIPTOR.fields_by_name]
    for message in (user_pb2.User, company_pb2.Company)
}

# Times that are stored to the millisecond.
_TIMES = ("created_time", "stored_time", "initial_campaign_time", "latest_campaign_time")

# What users can be looked up by.
_LOOKUP_KEYS: Sequence[Any] = tuple(KEY_BYTES)

# The names are listed once: `ListFields()` would make an object of each field's descriptor at each call.
_CAMPAIGN: Sequence[Any] = tuple(campaign_pb2.Campaign.DESCRIPTOR.fields_by_name)

_Update = TypeVar("_Update", bound=ProfileUpdate)


def update_from_message(message: user_pb2.UserUpdate, client_address: str | None) -> UserUpdate:
    """The update in a message. Raises InvalidRequest for a value that protobuf allows and JSON does not."""
    company_id = message.company_id if message.HasField("company_id") else None
    return _filled(UserUpdate(message.user_id, company_id, message.anonymous_id or None), message, client_address)


def company_update_from_message(message: company_pb2.CompanyUpdate, client_address: str | None) -> CompanyUpdate:
    """As `update_from_message`, of a company."""
    company_domain = message.company_domain if message.HasField("company_domain") else None
    return _filled(CompanyUpdate(message.company_id, company_domain), message, client_address)


def _filled(
    update: _Update, message: user_pb2.UserUpdate | company_pb2.CompanyUpdate, client_address: str | None
) -> _Update:
    """The update with all that updates of any kind have."""
    update.modified_time = _nanoseconds(message, "modified_time")
    # An empty string is the same as an absent one, so `HasField` is not needed.
    update.ip_address = message.ip_address or None
    update.session_token = message.session_token or None
    update.user_agent_string = message.user_agent_string or None
    update.metadata = _metadata(message)
    update.campaign = _campaign(message.campaign) if message.HasField("campaign") else None
    if message.HasField("latest_campaign"):
        update.latest_campaign = _campaign(message.latest_campaign)
        update.latest_campaign_time = _nanoseconds(message, "latest_campaign_time")
    update.client_address = client_address
    update.etag = message.etag or None
    if message.clear_fields:
        # One more than the limit, so that the plan refuses it without all of them being copied.
        update.clear_fields = message.clear_fields[: limits.CLEAR_FIELDS + 1]
    if operations := message.metadata_operations:
        update.metadata_operations = operations_from_messages(operations)
    return update


def _campaign(message: campaign_pb2.Campaign) -> dict[str, str]:
    return {name: value for name in _CAMPAIGN if (value := getattr(message, name)) or message.HasField(name)}


def _nanoseconds(message: Message, field: str) -> int | None:
    if not message.HasField(field):
        return None
    timestamp: Timestamp = getattr(message, field)
    return nanoseconds(field, timestamp.seconds, timestamp.nanos)


def _metadata(message: user_pb2.UserUpdate | company_pb2.CompanyUpdate) -> JsonObject | None:
    metadata_json = message.metadata_json
    if metadata_json or message.HasField("metadata_json"):
        return object_from_json(metadata_json, "metadata_json")
    return object_from_struct(message.metadata) if message.HasField("metadata") else None


def lookup_request_from_message(message: user_service_pb2.LookupUsersRequest) -> LookupRequest:
    """The look-up that a message requests."""
    known = {name: getattr(message, name) for name in _LOOKUP_KEYS if message.HasField(name)}
    return LookupRequest(known, message.page_size, message.page_token)


def list_request_from_message(
    message: user_service_pb2.ListUsersRequest
    | company_service_pb2.ListCompaniesRequest
    | visitor_service_pb2.ListVisitorsRequest,
) -> ListRequest:
    """The list that a message requests."""
    return ListRequest(message.filter, message.order_by, message.page_size, message.page_token, message.fields)


def report_request_from_message(message: campaign_service_pb2.ReportCampaignsRequest) -> ReportRequest:
    """The report that a message requests. Raises InvalidRequest for a time outside the years 1 to 9999."""
    start, end = (_nanoseconds(message, field) for field in ("start_time", "end_time"))
    return ReportRequest(start, end, message.group_by, message.value_path, message.filter, message.max_groups)


def fill_group(group: CampaignGroup, message: campaign_service_pb2.CampaignGroup) -> None:
    """Fill the message of a group of a report."""
    message.campaign.update(group.campaign)
    message.user_count = group.users
    for day, users in group.days:
        message.days.add(day=day, user_count=users)
    # JSON has no number for a sum that is not finite.
    if group.value_count and math.isfinite(group.value_sum):
        message.value_sum = group.value_sum
        message.value_average = group.value_sum / group.value_count
    message.value_count = group.value_count


def fill_profile(profile: Profile, message: user_pb2.User | company_pb2.Company) -> None:
    """Fill the message of a user or a company from a profile, without the metadata."""
    for name in _COPIED_TO[type(message)]:
        if (value := getattr(profile, name)) is not None:
            setattr(message, name, value)
    if isinstance(message, user_pb2.User):
        message.anonymous_ids.extend(profile.anonymous_ids or ())
        message.merged_user_ids.extend(profile.merged_user_ids or ())
    if profile.user_agent:
        message.user_agent.CopyFrom(_user_agent_message(profile.user_agent))
    for name in CAMPAIGNS:
        if campaign := getattr(profile, name):
            getattr(message, name).CopyFrom(campaign_pb2.Campaign(**campaign))
    for name in _TIMES:
        if (time := getattr(profile, name)) is not None:
            getattr(message, name).FromDatetime(time)
    if profile.modified_time is not None:
        message.modified_time.FromNanoseconds(profile.modified_time)


def fill_followed(user_id: str, response: user_service_pb2.GetUserResponse) -> None:
    """Set the id that was asked for, where it is that of a user who was merged into the one in the response."""
    if response.user.user_id != user_id:
        response.followed_user_id = user_id


def fill_export(stored: StoredUser, export: user_pb2.UserExport | user_pb2.VisitorExport) -> None:
    """Fill the message of an export, without the profile."""
    export.alias_digests.extend(alias.hex() for alias in stored.aliases)


def metadata_json_of(message: Message) -> Sequence[bytes]:
    """The `metadata_json` of all profiles in a message."""
    match message:
        case user_pb2.User() | company_pb2.Company():
            return [message.metadata_json]
        case user_service_pb2.GetUserResponse():
            return [message.user.metadata_json, message.company.metadata_json]
        case user_service_pb2.UpdateUserResponse() | user_pb2.UserExport():
            visitors = message.visitors if isinstance(message, user_pb2.UserExport) else ()
            return [message.user.metadata_json, *(visitor.visitor.metadata_json for visitor in visitors)]
        case company_service_pb2.UpdateCompanyResponse():
            return [message.company.metadata_json]
        case _:
            return []


def _user_agent_message(facts: Mapping[str, Mapping[str, str]]) -> user_agent_pb2.UserAgent:
    return user_agent_pb2.UserAgent(
        browser=user_agent_pb2.NameVersion(**facts["browser"]) if "browser" in facts else None,
        os=user_agent_pb2.NameVersion(**facts["os"]) if "os" in facts else None,
        device=user_agent_pb2.Device(**facts["device"]) if "device" in facts else None,
    )


def company_match(match: CompanyMatch) -> company_pb2.CompanyMatch.ValueType:
    """How a company was found, as the value of the contract."""
    return company_pb2.CompanyMatch.Value(match.name)


def suppression_message(suppression: Suppression) -> user_service_pb2.Suppression:
    """The message of a suppression."""
    message = user_service_pb2.Suppression(user_id_digest=suppression.user_id_digest)
    message.end_time.FromDatetime(suppression.end_time)
    if suppression.start_time is not None:
        message.start_time.FromDatetime(suppression.start_time)
    return message


def erased_message(erased: bool | WouldErase) -> user_service_pb2.DeleteUserResponse:
    """The message of what an erasure did, or would do."""
    if isinstance(erased, bool):
        return user_service_pb2.DeleteUserResponse(deleted=erased)
    return user_service_pb2.DeleteUserResponse(
        deleted=erased.is_stored,
        alias_count=erased.aliases,
        visitor_count=erased.visitors,
        pointer_count=erased.pointers,
    )


def warning_messages(warnings: Iterable[UpdateWarning], prefix: str = "") -> list[warning_pb2.Warning]:
    """The messages of warnings. `prefix`, such as `users[3].`, is put before the names of fields."""
    return [
        warning_pb2.Warning(field=prefix + warning.field, reason=warning.reason, description=warning.description)
        for warning in warnings
    ]


def addresses_from_gateway_0_1(request: user_service_pb2.BatchUpdateUsersRequest) -> list[str]:
    """The client addresses that a gateway of version 0.1 sends beside the updates of its clients.

    Empty where there are none, or where the request holds more unknown fields than these addresses could be: to read
    them costs, and a request may hold a hundred thousand.
    """
    size_beside_users = request.ByteSize() - sum(user.ByteSize() for user in request.users)
    if size_beside_users > len(request.users) * (MAX_LENGTH + _FRAMING):
        return []
    unknown: Iterable[Any] = UnknownFieldSet(request)  # type: ignore[assignment]  # The stubs leave out that it iterates.
    return [
        field.data.decode("latin-1")
        for field in unknown
        if field.field_number == _ADDRESSES_IN_0_1 and isinstance(field.data, bytes)
    ]
