"""Applications and their credentials in MongoDB, which stores only digests."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias

from pymongo import timeout
from pymongo.errors import DuplicateKeyError, PyMongoError

from server import limits
from server.accounts.credentials import StoredCredential
from server.errors import (
    ApplicationNotFound,
    CredentialNotFound,
    CredentialReplaced,
    CredentialTaken,
    DatabaseUnavailable,
    TooManyIndexes,
)
from server.model import CredentialKind, Scope
from server.mongo.client import Database, Session
from server.mongo.declared_indexes import drop, index_options
from server.mongo.driver import CREDENTIAL_SECONDS
from server.query.conditions import StoredPath
from server.query.declared_paths import text_of

Listed: TypeAlias = Sequence[tuple[str, str, Sequence[StoredCredential]]]
"""The id, the name and the credentials of each application."""


class MongoApplicationStore:
    """The collections `applications` and `credentials` of a MongoDB database. The digest of a credential is its `_id`.

    Every method raises DatabaseUnavailable if the database does not respond.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._applications = database.get_collection("applications")
        self._credentials = database.get_collection("credentials")

    async def find_all(self, digests: Sequence[bytes]) -> Sequence[StoredCredential]:
        """The credentials with these digests, in any order, including expired ones."""
        with _errors(), timeout(CREDENTIAL_SECONDS):
            documents = await self._credentials.find({"_id": {"$in": list(digests)}}).to_list(None)
        return [credential_from_document(document) for document in documents]

    async def get(self, credential_id: str) -> StoredCredential:
        """The credential with this id. Raises CredentialNotFound."""
        with _errors(), timeout(CREDENTIAL_SECONDS):
            document = await self._credentials.find_one({"credential_id": credential_id})
        if document is None:
            raise CredentialNotFound
        return credential_from_document(document)

    async def list_all(self) -> Listed:
        """All applications, ordered by name, each with its credentials, oldest first."""
        with _errors():
            applications = await self._applications.find().sort([("name", 1), ("_id", 1)]).to_list(None)
            documents = await self._credentials.find().sort([("created_time", 1), ("_id", 1)]).to_list(None)
        credentials: dict[str, list[StoredCredential]] = {}
        for document in documents:
            credentials.setdefault(document["application_id"], []).append(credential_from_document(document))
        return [(each["_id"], each["name"], credentials.get(each["_id"], [])) for each in applications]

    async def ensure(self, application_id: str, name: str, credentials: Sequence[StoredCredential]) -> None:
        """Register an application with these credentials, all or none, unless one has its id.

        A registered application stays as it is: its revoked and expired credentials are not restored. Raises
        CredentialTaken if another application has one of the credentials.
        """

        async def write(session: Session) -> None:
            # An early version stored the digests in the application itself, and no credentials.
            register = {"$setOnInsert": {"name": name}, "$unset": {"collector_digest": "", "token_digest": ""}}
            before = await self._applications.find_one_and_update(
                {"_id": application_id}, register, upsert=True, session=session
            )
            own = {"application_id": application_id}
            if before is None or (
                "token_digest" in before and await self._credentials.find_one(own, session=session) is None
            ):
                for each in credentials:
                    await self._credentials.insert_one(document_from_credential(each), session=session)

        await self._together(write)

    async def add(self, credential: StoredCredential) -> None:
        """Give a credential to its application. Raises ApplicationNotFound or CredentialTaken."""
        with _errors():
            # Applications are never deleted.
            if await self._applications.find_one({"_id": credential.application_id}) is None:
                raise ApplicationNotFound
            await self._credentials.insert_one(document_from_credential(credential))

    async def replace(self, old: StoredCredential, new: StoredCredential) -> None:
        """Add the credential `new`, and set the end and the `replaced_by` of `old`, both or neither.

        Raises CredentialNotFound or CredentialReplaced if another operator was faster.
        """

        async def write(session: Session) -> None:
            end = {"$set": {"expire_time": old.expire_time, "replaced_by": old.replaced_by}}
            before = await self._credentials.find_one_and_update({"_id": old.digest}, end, session=session)
            if before is None:
                raise CredentialNotFound
            if "replaced_by" in before:
                raise CredentialReplaced(before["replaced_by"])
            await self._credentials.insert_one(document_from_credential(new), session=session)

        await self._together(write)

    async def revoke(self, credential_id: str) -> None:
        """Delete the credential with this id. Raises CredentialNotFound."""
        with _errors():
            result = await self._credentials.delete_one({"credential_id": credential_id})
        if not result.deleted_count:
            raise CredentialNotFound

    async def declare(self, application_id: str, path: StoredPath, now: datetime) -> None:
        """Declare a path of an application, so that servers build its index.

        Raises ApplicationNotFound, or TooManyIndexes.
        """
        text, last = text_of(path), f"indexes.{limits.DECLARED_PATHS - 1}"
        with _errors(), timeout(CREDENTIAL_SECONDS):
            declared = [document async for document in self._applications.find({}, projection=["indexes"])]
            paths = {each["_id"]: [index["path"] for index in each.get("indexes", ())] for each in declared}
            if application_id not in paths:
                raise ApplicationNotFound
            if text in paths[application_id]:
                return
            if sum(map(len, paths.values())) >= limits.DECLARED_PATHS_IN_ALL:
                raise TooManyIndexes(limits.DECLARED_PATHS_IN_ALL, "all applications together")
            result = await self._applications.update_one(
                {"_id": application_id, last: {"$exists": False}, "indexes.path": {"$ne": text}},
                {"$push": {"indexes": {"path": text, "declared_time": now}}},
            )
            if not result.matched_count:
                raise TooManyIndexes(limits.DECLARED_PATHS, "an application")

    async def withdraw(self, application_id: str, path: StoredPath) -> None:
        """Withdraw the declaration of a path, and drop its index. Raises ApplicationNotFound."""
        withdrawn = {"$pull": {"indexes": {"path": text_of(path)}}}
        with _errors():
            if not (await self._applications.update_one({"_id": application_id}, withdrawn)).matched_count:
                raise ApplicationNotFound
            name = index_options(application_id, path)["name"]
            await drop(self._database.get_collection("profiles"), name)

    async def declared(self, application_id: str) -> Sequence[str]:
        """The declared paths of an application. Raises ApplicationNotFound."""
        with _errors(), timeout(CREDENTIAL_SECONDS):
            document = await self._applications.find_one({"_id": application_id}, projection=["indexes"])
        if document is None:
            raise ApplicationNotFound
        return sorted(each["path"] for each in document.get("indexes", ()))

    async def _together(self, write: Callable[[Session], Coroutine[Any, Any, None]]) -> None:
        """Write in one transaction."""
        with _errors():
            async with await self._database.client.start_session() as session:
                # A transaction inherits the concerns of the client, not those of the database.
                await session.with_transaction(
                    write, write_concern=self._database.write_concern, read_concern=self._database.read_concern
                )


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except DuplicateKeyError as error:
        raise CredentialTaken from error
    except PyMongoError as error:
        raise DatabaseUnavailable from error


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
    return StoredCredential(
        digest=bytes(document["_id"]),
        credential_id=document["credential_id"],
        application_id=document["application_id"],
        kind=CredentialKind(document["kind"]),
        name=document["name"],
        scopes=frozenset(Scope(text) for text in document["scopes"] if text in known),
        created_time=document["created_time"],
        expire_time=document.get("expire_time"),
        replaced_by=document.get("replaced_by"),
    )
