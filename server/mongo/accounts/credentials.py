"""The credentials of applications in MongoDB: found, issued, rotated and revoked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pymongo import timeout

from server import limits
from server.accounts.credentials import StoredCredential
from server.errors import CredentialNotFound, CredentialReplaced, LastAdminToken, TooManyCredentials
from server.model import CredentialKind, Scope
from server.mongo.accounts.documents import credential_from_document, document_from_credential
from server.mongo.accounts.transactions import one_at_a_time, read_errors, together, write_errors
from server.mongo.client import Database, Session
from server.mongo.driver import CREDENTIAL_SECONDS, WRITE_SECONDS

_OLDEST_FIRST: Final = [("created_time", 1), ("_id", 1)]
_LATEST_FIRST: Final = [("created_time", -1), ("_id", -1)]


class MongoCredentialStore:
    """The collection `credentials` of a MongoDB database.

    Every method that reads raises DatabaseUnavailable if the database does not respond, and every other one
    WriteOutcomeUnknown.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._credentials = database.get_collection("credentials")

    async def find_all(self, digests: Sequence[bytes]) -> Sequence[StoredCredential]:
        """The credentials with these digests, in any order, including expired ones."""
        with read_errors(), timeout(CREDENTIAL_SECONDS):
            documents = await self._credentials.find({"_id": {"$in": list(digests)}}).to_list(None)
        return [credential_from_document(document) for document in documents]

    async def get(self, credential_id: str, application_id: str | None = None) -> StoredCredential:
        """The credential with this id, of this application if one is given. Raises CredentialNotFound."""
        own = {} if application_id is None else {"application_id": application_id}
        with read_errors(), timeout(CREDENTIAL_SECONDS):
            document = await self._credentials.find_one({"credential_id": credential_id, **own})
        if document is None:
            raise CredentialNotFound
        return credential_from_document(document)

    async def of_application(self, application_id: str) -> Sequence[StoredCredential]:
        """The credentials of an application, the oldest first: the latest `limits.CREDENTIALS`, if it has more."""
        own = {"application_id": application_id}
        with read_errors(), timeout(CREDENTIAL_SECONDS):
            found = self._credentials.find(own).sort(_LATEST_FIRST).limit(limits.CREDENTIALS)
            return [credential_from_document(document) for document in reversed(await found.to_list(None))]

    async def by_application(self) -> dict[str, list[StoredCredential]]:
        """All credentials by the ids of their applications, the oldest first."""
        with read_errors():
            documents = await self._credentials.find().sort(_OLDEST_FIRST).to_list(None)
        found: dict[str, list[StoredCredential]] = {}
        for document in documents:
            found.setdefault(document["application_id"], []).append(credential_from_document(document))
        return found

    async def add(self, credential: StoredCredential) -> None:
        """Give a credential to its application. Raises ApplicationNotFound, CredentialTaken or TooManyCredentials."""

        async def write(session: Session) -> None:
            await one_at_a_time(self._database, credential.application_id, session)
            await self._insert(credential, session)

        await together(self._database, write)

    async def replace(self, old: StoredCredential, new: StoredCredential) -> None:
        """Add the credential `new`, and set the end and the `replaced_by` of `old`, both or neither.

        Raises ApplicationNotFound or TooManyCredentials; CredentialNotFound or CredentialReplaced if another operator
        was faster.
        """

        async def write(session: Session) -> None:
            await one_at_a_time(self._database, old.application_id, session)
            end = {"$set": {"expire_time": old.expire_time, "replaced_by": old.replaced_by}}
            before = await self._credentials.find_one_and_update({"_id": old.digest}, end, session=session)
            if before is None:
                raise CredentialNotFound
            if "replaced_by" in before:
                raise CredentialReplaced(before["replaced_by"])
            await self._insert(new, session)

        await together(self._database, write)

    async def note_used(self, digests: Sequence[bytes], now: datetime) -> None:
        """Store that the credentials with these digests were used now."""
        used = {"$max": {"last_used_time": now}}
        with write_errors(), timeout(WRITE_SECONDS):
            await self._credentials.update_many({"_id": {"$in": list(digests)}}, used)

    async def revoke(self, credential_id: str) -> None:
        """Delete the credential with this id, whatever it is. Raises CredentialNotFound."""
        with write_errors(), timeout(WRITE_SECONDS):
            result = await self._credentials.delete_one({"credential_id": credential_id})
        if not result.deleted_count:
            raise CredentialNotFound

    async def revoke_of(self, application_id: str, credential_id: str, now: datetime) -> bool:
        """Delete a credential of an application. Returns whether there was one.

        Raises ApplicationNotFound, or LastAdminToken unless another admin token works at `now` and was not rotated.
        """

        async def write(session: Session) -> bool:
            await one_at_a_time(self._database, application_id, session)
            own = {"application_id": application_id, "credential_id": credential_id}
            document = await self._credentials.find_one(own, session=session)
            if document is None:
                return False
            working = _working_admin_tokens(application_id, now)
            if await self._credentials.find_one({**working, **own}, projection=["_id"], session=session):
                others = {**working, "credential_id": {"$ne": credential_id}, "replaced_by": {"$exists": False}}
                if await self._credentials.find_one(others, projection=["_id"], session=session) is None:
                    raise LastAdminToken
            await self._credentials.delete_one({"_id": document["_id"]}, session=session)
            return True

        return await together(self._database, write)

    async def _insert(self, credential: StoredCredential, session: Session) -> None:
        """Insert a credential, after expired ones were deleted where there is no room. Raises TooManyCredentials."""
        own = {"application_id": credential.application_id}
        if await self._credentials.count_documents(own, session=session) >= limits.CREDENTIALS:
            expired = {**own, "expire_time": {"$lte": credential.created_time}}
            if not (await self._credentials.delete_many(expired, session=session)).deleted_count:
                raise TooManyCredentials
        await self._credentials.insert_one(document_from_credential(credential), session=session)


def _working_admin_tokens(application_id: str, now: datetime) -> dict[str, Any]:
    """The admin tokens of an application that have not expired at a time."""
    return {
        "application_id": application_id,
        "kind": CredentialKind.MANAGEMENT,
        "scopes": Scope.ADMIN,
        "$or": [{"expire_time": {"$exists": False}}, {"expire_time": {"$gt": now}}],
    }
