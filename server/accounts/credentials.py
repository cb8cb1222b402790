"""Credentials: generated, read from the metadata of a call, and rotated. Only their digests are stored."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Final, NamedTuple

from server.accounts.scopes import COLLECTOR_SCOPES
from server.errors import (
    CollectorKeyAsToken,
    CredentialAmbiguous,
    CredentialMissing,
    CredentialReplaced,
    CredentialUnknown,
    TokenAsCollectorKey,
)
from server.model import CredentialKind, Scope

COLLECTOR_KEY = "x-moesif-application-id"
"""The name of the header, and of the metadata, with a collector key. It is part of the public API."""

COLLECTOR_KEY_PREFIX = "ufc_"
"""Generated collector keys begin with it. One that an operator chose may begin with anything."""

MANAGEMENT_TOKEN_PREFIX = "ufm_"  # noqa: S105  # The beginning of every token is no secret.
"""All management tokens begin with it."""

HEADER_CHARACTERS = 4096
"""The limit of a header with a credential. No credential has more than 1,024 characters."""

KIND_NAMES: Final[Mapping[CredentialKind, str]] = {
    CredentialKind.COLLECTOR: "collector_key",
    CredentialKind.MANAGEMENT: "management_token",
}
"""The names of the kinds for callers and operators."""

_BEARER = "bearer "


class Credential(NamedTuple):
    """The credential of a call: its kind, which follows from its header, and its SHA-256 digest."""

    kind: CredentialKind
    digest: bytes


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A credential as it is stored, without the secret.

    Operators name it by `credential_id`, which is not secret. From its `expire_time` on, the credential is unknown.
    `replaced_by` is the id of the credential that it was rotated into. `last_used_time` is the end of its use as far as
    that is stored, which is once an hour.
    """

    digest: bytes = field(repr=False)
    credential_id: str
    application_id: str
    kind: CredentialKind
    name: str
    scopes: frozenset[Scope]
    created_time: datetime
    expire_time: datetime | None = None
    replaced_by: str | None = None
    last_used_time: datetime | None = None


def generate_application_id() -> str:
    """A new application id: 16 hexadecimal digits. It is not secret, and never holds `/` or NUL."""
    return secrets.token_hex(8)


def generate_credential_id() -> str:
    """A new credential id: 12 hexadecimal digits. It is random, and so reveals nothing about the secret."""
    return secrets.token_hex(6)


def generate_collector_key() -> str:
    """A new collector key: 68 URL-safe characters. One client library refuses keys of fewer than 50."""
    return f"{COLLECTOR_KEY_PREFIX}{secrets.token_urlsafe(48)}"


def generate_management_token() -> str:
    """A new management token: 68 URL-safe characters."""
    return f"{MANAGEMENT_TOKEN_PREFIX}{secrets.token_urlsafe(48)}"


def generate_secret(kind: CredentialKind) -> str:
    """A new collector key or management token."""
    return generate_collector_key() if kind is CredentialKind.COLLECTOR else generate_management_token()


def digest(secret: str) -> bytes:
    """The SHA-256 digest of a credential. It has no salt, because a generated credential has 384 random bits.

    Credentials are looked up by digest and never compared, so no comparison needs constant time: the duration of a
    look-up can at most reveal something about a digest, and nobody can find the credential for a digest.
    """
    return sha256(secret.encode()).digest()


def issue(
    application_id: str,
    kind: CredentialKind,
    secret: str,
    now: datetime,
    name: str = "",
    scopes: frozenset[Scope] = COLLECTOR_SCOPES,
    lifetime: timedelta | None = None,
) -> StoredCredential:
    """A new credential of an application. Without a `lifetime`, it does not expire."""
    end = None if lifetime is None else now + lifetime
    return StoredCredential(digest(secret), generate_credential_id(), application_id, kind, name, scopes, now, end)


def first_credentials(application_id: str, key: str, token: str, now: datetime) -> list[StoredCredential]:
    """The first collector key and the first management token of a new application, which has the scope ADMIN."""
    return [
        issue(application_id, CredentialKind.COLLECTOR, key, now),
        issue(application_id, CredentialKind.MANAGEMENT, token, now, "first", frozenset({Scope.ADMIN})),
    ]


def rotate(
    old: StoredCredential, secret: str, now: datetime, overlap: timedelta
) -> tuple[StoredCredential, StoredCredential]:
    """The credential `old`, which now expires after `overlap` at the latest, and its successor with `secret`.

    The successor has the same scopes, and the lifetime that `old` was created with. Raises CredentialReplaced where
    `old` was rotated before: its `expire_time` then no longer shows that lifetime.
    """
    if old.replaced_by is not None:
        raise CredentialReplaced(old.replaced_by)
    new = replace(
        old,
        digest=digest(secret),
        credential_id=generate_credential_id(),
        created_time=now,
        expire_time=None if old.expire_time is None else now + (old.expire_time - old.created_time),
        last_used_time=None,
    )
    end = now + overlap if old.expire_time is None else min(now + overlap, old.expire_time)
    return replace(old, expire_time=end, replaced_by=new.credential_id), new


def credential_from_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> Credential:
    """The credential of a call: its bearer token, else its collector key.

    Raises CredentialMissing, CredentialAmbiguous where one of the two headers is sent twice, or CredentialUnknown where
    one is longer than any credential.
    """
    authorization = collector_key = None
    for name, value in metadata:
        if name == "authorization":
            if authorization is not None:
                raise CredentialAmbiguous
            authorization = value
        elif name == COLLECTOR_KEY:
            if collector_key is not None:
                raise CredentialAmbiguous
            collector_key = value
    # The digest is computed at each call, because a cache of digests would hold the secrets.
    if authorization is not None and (token := _token_of(_header(authorization))) is not None:
        return _credential((CredentialKind.MANAGEMENT, digest(token)))
    if collector_key is not None and (key := _header(collector_key)):
        return _credential((CredentialKind.COLLECTOR, digest(key)))
    raise CredentialMissing


def unknown_credential(metadata: Iterable[tuple[str, str | bytes]]) -> CredentialUnknown:
    """The error of a call whose credential belongs to no application, by its metadata.

    It says so where a generated credential is in the header of the other kind. Only for calls that are refused.
    """
    headers = {name: value for name, value in metadata if isinstance(value, str)}
    token = _token_of(headers.get("authorization", "").strip())
    if token is None:
        is_token = headers.get(COLLECTOR_KEY, "").strip().startswith(MANAGEMENT_TOKEN_PREFIX)
        return TokenAsCollectorKey() if is_token else CredentialUnknown()
    return CollectorKeyAsToken() if token.startswith(COLLECTOR_KEY_PREFIX) else CredentialUnknown()


# Faster than the constructor.
_credential = partial(tuple.__new__, Credential)


def _header(value: str | bytes) -> str:
    """A header without surrounding blanks. Raises CredentialUnknown where it is longer than a credential can be."""
    if len(value) > HEADER_CHARACTERS:
        raise CredentialUnknown
    return value.strip() if isinstance(value, str) else ""


def _token_of(header: str) -> str | None:
    """The token of a `Bearer` header, which may be empty; None for another scheme."""
    return header[len(_BEARER) :].strip() if header[: len(_BEARER)].lower() == _BEARER else None
