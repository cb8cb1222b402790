"""Credentials: how they are made, known again, and taken from a call. Only digests of them are ever kept."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from server.errors import CredentialAmbiguous, CredentialMissing, CredentialReplaced, CredentialUnknown
from server.model import CredentialKind, Scope

COLLECTOR_KEY = "x-moesif-application-id"
"""The metadata key of a collector key. The name is that of the public API."""

HEADER_CHARACTERS = 4096
"""What a header with a credential may hold. No credential has more than 1,024 characters."""

_BEARER = "bearer "


class Credential(NamedTuple):
    """What a call shows of its caller: the kind, told by where it was sent, and the SHA-256 digest."""

    kind: CredentialKind
    digest: bytes


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A credential as it is kept: all but the secret.

    `credential_id`, which is no secret, is what operators call it by. A credential with an `expire_time` is unknown
    from then on. `replaced_by` is the id of the one that it was rotated into.
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


def generate_application_id() -> str:
    """A new application id: 16 hexadecimal digits. It is no secret, and never holds `/` or NUL."""
    return secrets.token_hex(8)


def generate_credential_id() -> str:
    """A new credential id: 12 hexadecimal digits. Random, so that it tells nothing of the secret."""
    return secrets.token_hex(6)


def generate_collector_key() -> str:
    """A new collector key: 68 URL-safe characters (one client library refuses keys of less than 50)."""
    return f"ufc_{secrets.token_urlsafe(48)}"


def generate_management_token() -> str:
    """A new management token: 68 URL-safe characters."""
    return f"ufm_{secrets.token_urlsafe(48)}"


def generate_secret(kind: CredentialKind) -> str:
    """A new collector key or management token."""
    return generate_collector_key() if kind is CredentialKind.COLLECTOR else generate_management_token()


def digest(secret: str) -> bytes:
    """The SHA-256 digest of a credential. No salt: a generated one holds 384 random bits.

    Credentials are found by it, and never compared themselves. How long that takes tells something of a digest at most,
    and nobody can choose a credential by its digest: what would have to be compared in constant time is not compared.
    """
    return sha256(secret.encode()).digest()


def rotate(
    old: StoredCredential, secret: str, now: datetime, overlap: timedelta
) -> tuple[StoredCredential, StoredCredential]:
    """The credential `old`, which ends after `overlap` at the latest, and the one with `secret` that takes its place.

    The new one may do the same, for as long as the old one was made for. Raises CredentialReplaced where `old` was
    rotated before: its end is then no longer the one that it was made with.
    """
    if old.replaced_by is not None:
        raise CredentialReplaced(old.replaced_by)
    new = replace(
        old,
        digest=digest(secret),
        credential_id=generate_credential_id(),
        created_time=now,
        expire_time=None if old.expire_time is None else now + (old.expire_time - old.created_time),
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
    # The digests are made anew at each call, which takes 1 us: a cache of them would hold the secrets.
    if authorization is not None and (token := _token_of(_header(authorization))) is not None:
        return _credential((CredentialKind.MANAGEMENT, digest(token)))
    if collector_key is not None and (key := _header(collector_key)):
        return _credential((CredentialKind.COLLECTOR, digest(key)))
    raise CredentialMissing


# A third of what the constructor takes.
_credential = partial(tuple.__new__, Credential)


def _header(value: str | bytes) -> str:
    """A header without the blanks around it. Raises CredentialUnknown where it is too long to be hashed."""
    if len(value) > HEADER_CHARACTERS:
        raise CredentialUnknown
    return value.strip() if isinstance(value, str) else ""


def _token_of(header: str) -> str | None:
    """The token behind `Bearer` and blanks, empty where there is none; None in a header of another scheme."""
    return header[len(_BEARER) :].strip() if header[: len(_BEARER)].lower() == _BEARER else None
