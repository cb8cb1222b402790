"""What can go wrong. `rpc/error_status` maps each error to a gRPC status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.model import COMPANIES, USERS, VISITORS, ProfileKind, Scope


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that breaks a rule.

    `field` is a path from the request, never a value; `reason` is in UPPER_SNAKE; `description` is a fixed text.
    `column`, in characters from 1, is where a text that is parsed, such as a filter, cannot be read.
    """

    field: str
    reason: str
    description: str
    column: int | None = None


class UserfoldError(Exception):
    """The base of all errors of callers. The message of the exception never leaves the process."""


class InvalidRequest(UserfoldError):
    """Fields of a request break rules. Nothing was written. `violations` holds at least one."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(f"{len(violations)} fields refused")
        self.violations = tuple(violations)


class EtagMismatch(UserfoldError):
    """The stored profile does not have the etag of a conditional update, or there is none. Nothing was written."""


class MalformedRequest(UserfoldError):
    """The bytes of a request are not the message that the method takes."""


class BatchTooLarge(UserfoldError):
    """A batch holds more items than `limits.BATCH_UPDATES`. None was written."""


class Overloaded(UserfoldError):
    """There is no room for another request. Nothing was written."""


class RateLimited(UserfoldError):
    """An application exceeds its rate limit. Nothing was written. It may send again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"for {seconds:.3f} s")
        self.seconds = seconds


class GatewayTooOld(UserfoldError):
    """A gateway of version 0.1 would misread the response. The call has no effect."""


class ServerStopping(UserfoldError):
    """The server stops, and reads no more messages of a stream. All messages that it read are acknowledged."""


class StreamIdle(UserfoldError):
    """A stream received no message for `limits.STREAM_IDLE_SECONDS`. All its messages are acknowledged."""


class ProfileTooLarge(UserfoldError):
    """The merged profile would exceed a limit of profiles. Nothing of the update was written."""


class WriteOutcomeUnknown(UserfoldError):
    """The database did not confirm a write, which may have been applied. Sending it again is safe."""


class DatabaseUnavailable(UserfoldError):
    """The database did not respond. Nothing was written."""


class QueryTooSlow(UserfoldError):
    """The database did not complete a query within its time."""


class IndexRequired(UserfoldError):
    """A query would have to read more users than it can in its time. With `path` declared, an index serves it."""

    def __init__(self, path: str) -> None:
        super().__init__("no index")
        self.path = path


class WriteRejected(UserfoldError):
    """The database refused a write for a reason that no rule covers: a defect. `code` is MongoDB's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"MongoDB error {code}")
        self.code = code


class ResponseTooLarge(UserfoldError):
    """A user would make the response of a batch of reads larger than `limits.ANSWER_BYTES`."""


class UserNotFound(UserfoldError):
    """No update of that user was ever stored."""


class CompanyNotFound(UserfoldError):
    """No update of that company was ever stored."""


class VisitorNotFound(UserfoldError):
    """No update of that visitor was ever stored, or it was erased, or it has expired."""


class VisitorIdentified(UserfoldError):
    """The visitor was identified: its profile is a part of a user's. Nothing was erased."""


NOT_FOUND: Final[Mapping[ProfileKind, type[UserfoldError]]] = {
    USERS: UserNotFound,
    COMPANIES: CompanyNotFound,
    VISITORS: VisitorNotFound,
}
"""The error of a profile of each kind that is not stored."""


class CredentialMissing(UserfoldError):
    """A call has no credential."""


class CredentialAmbiguous(UserfoldError):
    """A call has several collector keys or several `authorization` headers, even if they are equal."""


class CredentialUnknown(UserfoldError):
    """A credential belongs to no application, or has expired. The error does not say which."""


class CollectorKeyAsToken(CredentialUnknown):
    """A collector key was sent in place of a management token. Its prefix says what it is."""


class TokenAsCollectorKey(CredentialUnknown):
    """A management token was sent in place of a collector key. Its prefix says what it is."""


class ScopeMissing(UserfoldError):
    """A credential lacks `scope`, which the method needs."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.scope = scope


class ManagementTokenRequired(UserfoldError):
    """A collector key called a method that takes any management token."""


class OperatorError(Exception):
    """The base of the errors of commands. The message is for the operator."""


class ApplicationNotFound(OperatorError):
    """No application has this id."""

    def __init__(self) -> None:
        super().__init__("no application has this id")


class PathNotDeclarable(OperatorError):
    """A path cannot be declared for an index. The message says why."""


class TooManyIndexes(OperatorError):
    """An application, or all together, have as many declared paths as they may."""

    def __init__(self, limit: int, of: str) -> None:
        super().__init__(f"{of} may have at most {limit} declared paths: withdraw one first")


class CredentialTaken(OperatorError):
    """An application already has this credential."""

    def __init__(self) -> None:
        super().__init__("an application already has this collector key")


class CredentialNotFound(UserfoldError, OperatorError):
    """No credential has this id."""

    def __init__(self) -> None:
        super().__init__("no credential has this id")


class CredentialReplaced(UserfoldError, OperatorError):
    """A credential was already rotated, into the one with the id `replaced_by`."""

    def __init__(self, replaced_by: str) -> None:
        super().__init__(f"this credential was already rotated, into {replaced_by}")
        self.replaced_by = replaced_by


class TooManyCredentials(UserfoldError, OperatorError):
    """An application has `limits.CREDENTIALS`, and none of them has expired."""

    def __init__(self) -> None:
        super().__init__("the application has as many credentials as it may: revoke one first")


class TooManyApplications(UserfoldError):
    """There are `limits.APPLICATIONS`, or an application and those that it created have created as many as they may."""


class LastAdminToken(UserfoldError):
    """A credential cannot be revoked, because no other one could manage the application."""


class BackupFailed(OperatorError):
    """A backup cannot be made, read or restored. The message says why."""
