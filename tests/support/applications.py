"""Applications that tests register in the database."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from server.accounts.credentials import (
    StoredCredential,
    digest,
    generate_application_id,
    generate_credential_id,
    generate_management_token,
)
from server.accounts.scopes import COLLECTOR_SCOPES
from server.model import CredentialKind, Scope
from server.mongo.accounts.documents import document_from_credential


@dataclass(frozen=True)
class Application:
    """A registered application. Each test has its own, so that no test sees the users of another."""

    application_id: str
    collector_key: str
    management_token: str


def register(database: Database[dict[str, Any]], collector_key: str, name: str = "Demo") -> Application:
    """Register a new application with this collector key and a management token, named as the demo application is."""
    application = Application(generate_application_id(), collector_key, generate_management_token())
    registered = {"_id": application.application_id, "name": name, "created_time": datetime.now(UTC)}
    database.applications.insert_one(registered)
    grant(database, application, CredentialKind.COLLECTOR, collector_key, COLLECTOR_SCOPES)
    grant(database, application, CredentialKind.MANAGEMENT, application.management_token, {Scope.ADMIN}, name="first")
    return application


def make_room(database: Database[dict[str, Any]], application: Application) -> None:
    """Let applications be created: tests register more than there may be. Those of other tests have ended."""
    database.applications.delete_many({"_id": {"$ne": application.application_id}})


def grant(
    database: Database[dict[str, Any]],
    application: Application,
    kind: CredentialKind,
    secret: str,
    scopes: Iterable[Scope],
    expire_time: datetime | None = None,
    name: str = "",
) -> None:
    """Give an application another credential."""
    credential = StoredCredential(
        digest=digest(secret),
        credential_id=generate_credential_id(),
        application_id=application.application_id,
        kind=kind,
        name=name,
        scopes=frozenset(scopes),
        created_time=datetime.now(UTC),
        expire_time=expire_time,
    )
    database.credentials.insert_one(document_from_credential(credential))
