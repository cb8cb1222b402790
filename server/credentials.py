"""Credentials: how they are made, known again, and taken from a call. Only digests of them are ever kept."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from server.errors import CredentialMissing, CredentialReplaced
from server.model import Kind, Scope

COLLECTOR_KEY = "x-moesif-application-id"
"""The metadata key of a collector key. The name is that of the public API."""

_BEARER = re.compile(r"bearer +(.*)", re.IGNORECASE | re.DOTALL)


class Credential(NamedTuple):
    """What a call shows of its caller: the kind, told by where it was sent, and the SHA-256 digest."""

    kind: Kind
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
    kind: Kind
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


def generate_secret(kind: Kind) -> str:
    """A new collector key or management token."""
    return generate_collector_key() if kind is Kind.COLLECTOR else generate_management_token()


def digest(secret: str) -> bytes:
    """The SHA-256 digest of a credential. No salt: a generated one holds 384 random bits.

    Credentials are found by it, and never compared themselves. How long that takes tells something of a digest at most,
    and nobody can choose a credential by its digest: what would have to be compared in constant time is not compared.
    """
    return hashlib.sha256(secret.encode()).digest()


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
    """The credential of a call: its bearer token, else its collector key. Raises CredentialMissing."""
    collector_key = None
    for name, value in metadata:
        if name == "authorization" and (token := _management_token(value)):
            return token
        if name == COLLECTOR_KEY:
            collector_key = _collector_key(value)
    if collector_key is None:
        raise CredentialMissing
    return collector_key


# Most calls show one of a few credentials. A header may have 8 KiB: these are 8 MiB of each kind at most.
@lru_cache(maxsize=1024)
def _management_token(header: str | bytes) -> Credential | None:
    bearer = _BEARER.fullmatch(header) if isinstance(header, str) else None
    return Credential(Kind.MANAGEMENT, digest(bearer[1].strip())) if bearer else None


@lru_cache(maxsize=1024)
def _collector_key(header: str | bytes) -> Credential | None:
    key = header.strip() if isinstance(header, str) else ""
    return Credential(Kind.COLLECTOR, digest(key)) if key else None
