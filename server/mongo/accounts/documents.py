"""Applications and credentials as documents. The digest of a credential is its `_id`."""

from collections.abc import Mapping
from typing import Any

from server.accounts.applications import StoredApplication
from server.accounts.credentials import StoredCredential
from server.accounts.scopes import COLLECTOR_SCOPES
from server.model import CredentialKind, Scope


def document_from_credential(credential: StoredCredential) -> dict[str, Any]:
    """The document that a credential is stored as."""
    document: dict[str, Any] = {
        "_id": credential.digest,
        "credential_id": credential.credential_id,
        "application_id": credential.application_id,
        "kind": credential.kind,
        "name": credential.name,
        "scopes": sorted(credential.scopes),
        "created_time": credential.created_time,
    }
    ended = {"expire_time": credential.expire_time, "replaced_by": credential.replaced_by}
    return document | {name: value for name, value in ended.items() if value is not None}


def credential_from_document(document: Mapping[str, Any]) -> StoredCredential:
    """The credential of a stored document, without scopes of a later version, which no method here needs."""
    known = set(Scope)
    kind = CredentialKind(document["kind"])
    scopes = frozenset(Scope(text) for text in document["scopes"] if text in known)
    return StoredCredential(
        digest=bytes(document["_id"]),
        credential_id=document["credential_id"],
        application_id=document["application_id"],
        kind=kind,
        name=document["name"],
        scopes=COLLECTOR_SCOPES if kind is CredentialKind.COLLECTOR else scopes,
        created_time=document["created_time"],
        expire_time=document.get("expire_time"),
        replaced_by=document.get("replaced_by"),
        last_used_time=document.get("last_used_time"),
    )


def application_from_document(document: Mapping[str, Any]) -> StoredApplication:
    """The application of a stored document."""
    return StoredApplication(document["_id"], document["name"], document.get("created_time"))
