"""Builds the messages that a server sends, and reads the errors that the gateway answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from userfold.v1 import user_service_pb2 as pb
from userfold.v1 import warning_pb2


def stored(*warnings: warning_pb2.Warning) -> pb.UpdateUserResult:
    """The result of an update that is stored."""
    return pb.UpdateUserResult(response=pb.UpdateUserResponse(warnings=warnings))


def numbered(outcome: pb.UpdateUserResult, index: int) -> pb.UpdateUserResult:
    """The result of a single update as that of the item `index` of a batch."""
    if outcome.WhichOneof("outcome") != "error":
        result = pb.UpdateUserResult()
        result.CopyFrom(outcome)
        for warning in result.response.warnings if outcome.HasField("response") else ():
            warning.field = f"users[{index}].{warning.field}"
        return result
    status = status_with(outcome.error.code, outcome.error.message)
    for detail in outcome.error.details:
        invalid = BadRequest()
        if detail.Unpack(invalid):
            for violation in invalid.field_violations:
                violation.field = f"users[{index}].{violation.field}"
            status.details.add().Pack(invalid)
        else:
            status.details.append(detail)
    return pb.UpdateUserResult(error=status)


def status_with(code: int, message: str, *details: Message) -> Status:
    """A Status as the server sends it."""
    status = Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def results(*each: Any) -> pb.BatchUpdateUsersResponse:
    """The response to a batch: for each item a dict with its `error`, or with the fields of its response."""
    outcomes = [
        pb.UpdateUserResult(**one) if "error" in one else pb.UpdateUserResult(response=pb.UpdateUserResponse(**one))
        for one in each
    ]
    return pb.BatchUpdateUsersResponse(results=outcomes)


def error_info(reason: str, **metadata: str) -> ErrorInfo:
    return ErrorInfo(reason=reason, domain="userfold", metadata=metadata)


def bad_request(*fields: str) -> BadRequest:
    detail = BadRequest()
    for name in fields:
        detail.field_violations.add(field=name, description="breaks a rule", reason="RULE")
    return detail


def retry_info(seconds: int, nanos: int = 0) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.seconds, info.retry_delay.nanos = seconds, nanos
    return info


def reasons(answer: Mapping[str, Any]) -> list[str]:
    """The reasons in an error's ErrorInfo details."""
    return [each["reason"] for each in answer["details"] if each["@type"].endswith("ErrorInfo")]


def violations(answer: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """The field and reason of each violation of an error."""
    details = [each for each in answer["details"] if each["@type"].endswith("BadRequest")]
    return [(each["field"], each["reason"]) for detail in details for each in detail["field_violations"]]
