"""What can go wrong, as facts. `rpc/error_status` says the gRPC status of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.model import Scope


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that breaks a rule.

    `field` is a path from the request, never a value; `reason` is in UPPER_SNAKE; `description` is a fixed text.
    """

    field: str
    reason: str
    description: str


class UserfoldError(Exception):
    """The base of everything that a caller is told. Its text never leaves the process."""


class InvalidRequest(UserfoldError):
    """Fields of a request break rules; nothing of it was written. `violations` holds at least one."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(f"{len(violations)} fields refused")
        self.violations = tuple(violations)


class EtagNotSupported(UserfoldError):
    """An update has an etag, which no version compares yet; nothing of it was written."""


class ValidateOnlyNotSupported(UserfoldError):
    """A request asks what it would do, which no version answers yet; nothing was written or erased."""


class MalformedRequest(UserfoldError):
    """The bytes of a request are not the message that the method takes."""


class BatchTooLarge(UserfoldError):
    """A batch holds more updates than `limits.BATCH_UPDATES`; none was written."""


class Overloaded(UserfoldError):
    """More is under way than there is room for; nothing of this was written."""


class RateLimited(UserfoldError):
    """An application sends more than it may; nothing of this was written. It may send again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"for {seconds:.3f} s")
        self.seconds = seconds


class GatewayTooOld(UserfoldError):
    """A gateway of version 0.1 would misread the response: the call was refused, and has no effect."""


class ServerStopping(UserfoldError):
    """The server stops, and reads no more of a stream. What was read is acknowledged."""


class StreamIdle(UserfoldError):
    """A stream got no message for `limits.STREAM_IDLE_SECONDS`. What was read is acknowledged."""


class ProfileTooLarge(UserfoldError):
    """The merged profile would pass `limits.PROFILE_BYTES`; nothing of the update was written."""


class WriteOutcomeUnknown(UserfoldError):
    """The database did not confirm a write: it may have been applied, and sending it again is safe."""


class DatabaseUnavailable(UserfoldError):
    """The database did not answer, and nothing was written."""


class QueryTooSlow(UserfoldError):
    """The database did not find an answer within the time of a query; nothing was written."""


class WriteRejected(UserfoldError):
    """The database refused a write for a reason that no rule of ours foresees: a defect. `code` is MongoDB's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"MongoDB error {code}")
        self.code = code


class ResponseTooLarge(UserfoldError):
    """A user would make the response of a batch of reads larger than `limits.ANSWER_BYTES`."""


class UserNotFound(UserfoldError):
    """No update of that user was ever stored."""


class CredentialMissing(UserfoldError):
    """A call without any credential."""


class CredentialAmbiguous(UserfoldError):
    """A call with several collector keys, or with several `authorization` headers, even equal ones."""


class CredentialUnknown(UserfoldError):
    """A credential that belongs to no application, or has expired: the two are not told apart."""


class ScopeMissing(UserfoldError):
    """A credential that is known but may not do this, for which a management token needs `scope`."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.scope = scope


class OperatorError(Exception):
    """The base of what only an operator is told, by a command. Its text is for them."""


class ApplicationNotFound(OperatorError):
    """No application has this id."""

    def __init__(self) -> None:
        super().__init__("no application has this id")


class CredentialTaken(OperatorError):
    """An application has this credential already."""

    def __init__(self) -> None:
        super().__init__("an application has this collector key already")


class CredentialNotFound(OperatorError):
    """No credential has this id."""

    def __init__(self) -> None:
        super().__init__("no credential has this id")


class CredentialReplaced(OperatorError):
    """A credential that was rotated already, into the one with the id `replaced_by`."""

    def __init__(self, replaced_by: str) -> None:
        super().__init__(f"this credential was rotated already, into {replaced_by}")


class BackupFailed(OperatorError):
    """A backup cannot be made, read or restored. The text says why."""
