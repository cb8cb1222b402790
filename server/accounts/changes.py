"""What a caller may ask for about credentials: checked, and planned."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from server import limits
from server.accounts.credentials import KIND_NAMES, StoredCredential, issue
from server.accounts.scopes import COLLECTOR_SCOPES
from server.errors import InvalidRequest, Violation
from server.model import CredentialKind, Scope

_KINDS: Final = {name: kind for kind, name in KIND_NAMES.items()}
_KIND_NAMES: Final = " or ".join(_KINDS)
_SCOPES: Final = ", ".join(Scope)


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A request for a credential. `kind` is one of KIND_NAMES; without an `expire_time`, it does not expire."""

    name: str
    kind: str
    scopes: Sequence[str]
    expire_time: datetime | None


def is_name(text: str) -> bool:
    """Whether a text can be the name of an application or a credential."""
    return 1 <= len(text) <= limits.NAME_CHARACTERS and text.strip() == text and text.isprintable()


def require_name(field: str, text: str) -> None:
    """Raise InvalidRequest unless a text can be the name of an application or a credential."""
    if violations := [*_of_name(field, text)]:
        raise InvalidRequest(violations)


def require_application_id(text: str, of_call: str) -> None:
    """Raise InvalidRequest unless a request repeats the id of the application of the call."""
    if not text:
        raise InvalidRequest([Violation("application_id", "REQUIRED", "must be set")])
    if text != of_call:
        said = "must be the id of the application that the credential of the call belongs to"
        raise InvalidRequest([Violation("application_id", "CONFLICT", said)])


def require_credential_id(text: str) -> None:
    """Raise InvalidRequest where there is no id, or none of a credential."""
    if not text:
        raise InvalidRequest([Violation("credential_id", "REQUIRED", "must be set")])
    if len(text.encode()) > limits.ID_BYTES:
        said = f"longer than {limits.ID_BYTES} bytes in UTF-8"
        raise InvalidRequest([Violation("credential_id", "TOO_LONG", said)])


def plan_credential(application_id: str, request: NewCredential, secret: str, now: datetime) -> StoredCredential:
    """The credential that is requested. Raises InvalidRequest."""
    violations = [
        *_of_name("display_name", request.name),
        *_of_kind(request.kind),
        *_of_scopes(request.kind, request.scopes),
        *_of_end(request.expire_time, now),
    ]
    if violations:
        raise InvalidRequest(violations)
    kind = _KINDS[request.kind]
    scopes = COLLECTOR_SCOPES if kind is CredentialKind.COLLECTOR else frozenset(map(Scope, request.scopes))
    lifetime = None if request.expire_time is None else request.expire_time - now
    return issue(application_id, kind, secret, now, request.name, scopes, lifetime)


def kind_of(request: NewCredential) -> CredentialKind:
    """The kind that is requested: a management token, where it is none."""
    return _KINDS.get(request.kind, CredentialKind.MANAGEMENT)


def plan_overlap(hours: int | None) -> timedelta:
    """For how long a rotated credential stays valid, if it does not expire before. Raises InvalidRequest."""
    if hours is None:
        hours = limits.OVERLAP_HOURS_BY_DEFAULT
    if not 0 <= hours <= limits.OVERLAP_HOURS:
        said = f"must be 0 to {limits.OVERLAP_HOURS}"
        raise InvalidRequest([Violation("overlap_hours", "OUT_OF_RANGE", said)])
    return timedelta(hours=hours)


def require_other(credential_id: str, of_call: str, *, allow_self: bool) -> None:
    """Raise InvalidRequest where a caller would revoke its own credential, unless it says that it means to."""
    if credential_id == of_call and not allow_self:
        said = "must be true, because this is the credential of the call"
        raise InvalidRequest([Violation("allow_self", "REQUIRED", said)])


def _of_name(field: str, text: str) -> Iterator[Violation]:
    if not text:
        yield Violation(field, "REQUIRED", "must be set")
    elif not is_name(text):
        said = f"must be 1 to {limits.NAME_CHARACTERS} printable characters, without blanks at the ends"
        yield Violation(field, "INVALID_NAME", said)


def _of_kind(kind: str) -> Iterator[Violation]:
    if not kind:
        yield Violation("kind", "REQUIRED", f"must be {_KIND_NAMES}")
    elif kind not in _KINDS:
        yield Violation("kind", "NOT_ONE_OF", f"must be {_KIND_NAMES}")


def _of_scopes(kind: str, scopes: Sequence[str]) -> Iterator[Violation]:
    if kind == KIND_NAMES[CredentialKind.COLLECTOR]:
        if scopes:
            yield Violation(
                "scopes", "TOO_MANY", "must be empty: a collector key always has write:users and write:companies"
            )
        return
    if not scopes:
        yield Violation("scopes", "REQUIRED", f"must have at least one of {_SCOPES}")
    elif len(scopes) > len(Scope):
        yield Violation("scopes", "TOO_MANY", f"must be at most {len(Scope)}")
    else:
        known = set(Scope)
        for index, scope in enumerate(scopes):
            if scope not in known:
                yield Violation(f"scopes[{index}]", "NOT_ONE_OF", f"must be one of {_SCOPES}")


def _of_end(expire_time: datetime | None, now: datetime) -> Iterator[Violation]:
    if expire_time is not None and not now < expire_time <= now + timedelta(days=limits.CREDENTIAL_DAYS):
        said = f"must be later than now, and at most {limits.CREDENTIAL_DAYS:,} days"
        yield Violation("expire_time", "OUT_OF_RANGE", said)
