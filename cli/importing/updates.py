"""Updates of users in rows: the JSON that `POST /v1/users` takes, and what an export holds beside it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from userfold.v1.user_pb2 import UserUpdate

from cli.failures import CommandFailed
from cli.importing.columns import Columns
from cli.importing.rows import FieldRefusal, Refusal, Row
from gateway.errors.violations import Finding, Findings, schema_name
from gateway.transcoding import json_parser
from gateway.transcoding.json_decoder import ObjectDecoder
from server.errors import UserfoldError
from server.rpc.error_status import status_from_error
from server.services.convert import update_from_message
from server.users.update import plan_update

REFUSED: Final = "refused"
"""The member that the file of refused rows adds to each. It is ignored when the file is imported."""

TEXT: Final = "text"
"""The member of it that holds a row which is no JSON object, and which is imported in its place."""

_MESSAGE: Final = UserUpdate.DESCRIPTOR
_NOT_AN_OBJECT: Final = Refusal("WRONG_TYPE", "The row must be a JSON object.")


class UpdateReader:
    """Reads the updates of rows: in JSON, or in cells where there are `columns`. `warnings` counts what was ignored or
    changed, by the field of the schema and the reason.
    """

    def __init__(self, columns: Columns | None = None) -> None:
        self._columns = columns
        self._decoder = ObjectDecoder(_MESSAGE)
        self.warnings: Counter[tuple[str, str]] = Counter()

    def updates(self, row: Row) -> Sequence[UserUpdate] | Refusal:
        """The updates of a row, or why it is refused.

        It is one, or two where a user of an export has an `initial_campaign`: the first then carries that campaign and
        its time, so that a new profile has it as its first one.
        """
        if row.refusal is not None:
            return row.refusal
        value = self._columns.object(row.original) if self._columns else _parsed(row)  # type: ignore[arg-type]  # Cells.
        if isinstance(value, Refusal):
            return value
        first, time = value.pop("initial_campaign", None), value.pop("initial_campaign_time", None)
        campaign, modified_time = value.get("campaign"), value.get("modified_time")
        is_same = first == campaign and time in (None, modified_time)
        # An update with an etag is of a profile that is stored, and has its first campaign.
        if not isinstance(first, dict) or not first or is_same or value.get("etag"):
            return self._messages([value])
        same: dict[str, Any] = {name: value[name] for name in ("user_id", "anonymous_id") if name in value}
        same["modified_time"] = time or modified_time
        if not isinstance(campaign, dict) or not first.keys() <= campaign.keys():
            # Fields of the first campaign that the user does not have any more.
            value["clear_fields"] = [*(value.get("clear_fields") or ()), "campaign"]
        return self._messages([{**same, "campaign": first}, value])

    def _messages(self, values: Sequence[dict[str, Any]]) -> Sequence[UserUpdate] | Refusal:
        findings = Findings()
        messages = [self._decoder.message(value, (), findings) for value in values]
        if findings.violations:
            return Refusal.of_fields([_field_refusal(each) for each in findings.violations])
        for warning in findings.warnings:
            self.count_warning(warning.field, warning.reason)
        return [message for message in messages if isinstance(message, UserUpdate)]

    def count_warning(self, field: str, reason: str) -> None:
        """Count a warning. Only the part of the field's path that the schema has is kept."""
        self.warnings[schema_name(field, _MESSAGE), reason] += 1


def _parsed(row: Row) -> dict[str, Any] | Refusal:
    text = row.original
    value = _json(text)
    if isinstance(value, dict) and isinstance(refused := value.pop(REFUSED, None), dict):
        inner = refused.get(TEXT)
        if not value and isinstance(inner, str):
            value = _json(inner.encode())
    elif text == b"{" and row.number == 1:
        raise CommandFailed("the file holds one JSON object over many lines: JSON Lines have one object in each line")
    if isinstance(value, dict | Refusal):
        return value
    return _NOT_AN_OBJECT


def _json(text: Any) -> Any:
    try:
        return json_parser.parse(text)
    except json_parser.NotJson as error:
        return Refusal("NOT_JSON", f"The row is not JSON from its byte {error.byte} on.")


def checker(clock: Callable[[], int]) -> Callable[[UserUpdate], Refusal | Sequence[Finding]]:
    """Checks an update as a server does, except for what the stored profile decides. Returns why it would be refused,
    or the warnings of it. `clock` returns nanoseconds since 1970-01-01 UTC.
    """

    def check(update: UserUpdate) -> Refusal | Sequence[Finding]:
        try:
            planned = plan_update("app_checked", update_from_message(update, None), clock())
        except UserfoldError as error:
            return Refusal.of_status(status_from_error(error))
        return [Finding(each.field, each.reason, each.description) for each in planned.warnings]

    return check


def _field_refusal(finding: Finding) -> FieldRefusal:
    return FieldRefusal(finding.field, finding.reason, finding.description)
