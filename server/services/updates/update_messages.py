"""The messages of updates of users and of companies, and what their methods and fields are called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message
from userfold.v1 import company_pb2, company_service_pb2, user_pb2, user_service_pb2

from server import limits
from server.model import PlannedUpdate, ProfileUpdate, Scope, Stored, Suppressed, UpdateWarning
from server.services import convert
from server.services.updates.update_from_json import company_update_from_json, update_from_json
from server.users.ports import Outcome

_SUPPRESSED: Final = UpdateWarning(
    "user_id", "SUPPRESSED", "accepted but not stored: the user was erased, and its updates are suppressed for a period"
)


class SentUpdates(NamedTuple):
    """Updates in the form in which they were sent. `size_of` returns the bytes of one, and `read` the update.

    `read` takes the item and the address of its client. It raises an error that refuses the item.
    """

    items: Sequence[Any]
    size_of: Callable[[Any], int]
    read: Callable[[Any, str | None], ProfileUpdate]


@dataclass(frozen=True, slots=True, eq=False)
class UpdateMessages:
    """How updates of one kind of profiles are sent, and responded to.

    `single`, `batch` and `stream` are the methods. `item` is the field with the update in a request for one, and with
    the profile in the response of a dry run; `items` is the field with the updates of a batch. `update` is the message
    of an update, whose methods `from_message` and `from_json` read it; `response` and `stream_response` are those of
    the responses. `plain` is the response to an update without warnings. A dry run needs the scope `reading`.
    """

    single: str
    batch: str
    stream: str
    item: str
    items: str
    update: type[Message]
    from_message: Callable[[Any, str | None], ProfileUpdate]
    from_json: Callable[[bytes, str | None], ProfileUpdate]
    response: Callable[..., Any]
    stream_response: Callable[..., Any]
    plain: Any
    reading: Scope

    def messages(self, updates: Sequence[Any]) -> SentUpdates:
        """Updates as messages."""
        return SentUpdates(updates, self.update.ByteSize, self.from_message)

    def json_objects(self, updates: Sequence[bytes]) -> SentUpdates:
        """Updates as JSON objects."""
        return SentUpdates(updates, len, self.from_json)

    def prefix_of(self, index: int) -> str:
        """What is put before the names of the fields of one update in a batch."""
        return f"{self.items}[{index}]."

    def response_of(self, planned: PlannedUpdate, outcome: Outcome, prefix: str = "") -> Any:
        """The response to one update, or its error. `prefix` is put before the names of fields in warnings."""
        if isinstance(outcome, Stored):
            if not (planned.warnings or outcome.warnings):
                return self.plain
            warnings = [*planned.warnings, *outcome.warnings][: limits.REPORTED]
            return self.response(warnings=convert.warning_messages(warnings, prefix))
        return self.suppressed(planned, prefix) if isinstance(outcome, Suppressed) else outcome

    def suppressed(self, planned: PlannedUpdate, prefix: str) -> Any:
        """The response to an update that is dropped. Only users can be suppressed."""
        warnings = convert.warning_messages((*planned.warnings[: limits.REPORTED - 1], _SUPPRESSED), prefix)
        return self.response(warnings=warnings, suppressed=True)


OF_USERS: Final = UpdateMessages(
    single="UpdateUser",
    batch="BatchUpdateUsers",
    stream="StreamUpdateUsers",
    item="user",
    items="users",
    update=user_pb2.UserUpdate,
    from_message=convert.update_from_message,
    from_json=update_from_json,
    response=user_service_pb2.UpdateUserResponse,
    stream_response=user_service_pb2.StreamUpdateUsersResponse,
    plain=user_service_pb2.UpdateUserResponse(),
    reading=Scope.READ_USERS,
)

OF_COMPANIES: Final = UpdateMessages(
    single="UpdateCompany",
    batch="BatchUpdateCompanies",
    stream="StreamUpdateCompanies",
    item="company",
    items="companies",
    update=company_pb2.CompanyUpdate,
    from_message=convert.company_update_from_message,
    from_json=company_update_from_json,
    response=company_service_pb2.UpdateCompanyResponse,
    stream_response=company_service_pb2.StreamUpdateCompaniesResponse,
    plain=company_service_pb2.UpdateCompanyResponse(),
    reading=Scope.READ_COMPANIES,
)
