"""Credentials: how they are made, known again, and taken from a call. Only digests of them are ever kept."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from server.errors import CredentialMissing

COLLECTOR_KEY = "x-moesif-application-id"
"""The metadata key of a collector key, which may write but not read. The name is that of the public API."""

_BEARER = re.compile(r"bearer +(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a call shows of its caller: the SHA-256 digest of a management token (`may_read`) or of a collector key."""

    digest: bytes
    may_read: bool


def generate_application_id() -> str:
    """A new application id: 16 hexadecimal digits. It is no secret, and never holds `/` or NUL."""
    return secrets.token_hex(8)


def generate_collector_key() -> str:
    """A new collector key: 68 URL-safe characters (one client library refuses keys of less than 50)."""
    return f"ufc_{secrets.token_urlsafe(48)}"


def generate_management_token() -> str:
    """A new management token: 68 URL-safe characters."""
    return f"ufm_{secrets.token_urlsafe(48)}"


def digest(secret: str) -> bytes:
    """The SHA-256 digest of a credential. No salt: a generated one holds 384 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def credential_from_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> Credential:
    """The credential of a call: its bearer token, else its collector key. Raises CredentialMissing."""
    collector_key = ""
    for name, value in metadata:
        if name == "authorization" and isinstance(value, str) and (bearer := _BEARER.fullmatch(value)):
            return Credential(digest(bearer[1].strip()), may_read=True)
        if name == COLLECTOR_KEY and isinstance(value, str):
            collector_key = value.strip()
    if not collector_key:
        raise CredentialMissing
    return Credential(digest(collector_key), may_read=False)
