"""Applications in MongoDB, known by the digests of their credentials."""

from typing import Protocol

from pymongo.errors import DuplicateKeyError, PyMongoError

from server.credentials import Credential
from server.errors import CredentialTaken, DatabaseUnavailable
from server.model import Application
from server.store.database import Database


class ApplicationStore(Protocol):
    """Where applications are kept."""

    async def find(self, credential: Credential) -> Application | None:
        """The application that a credential belongs to. Must raise DatabaseUnavailable when the database does not
        answer."""


class MongoApplicationStore:
    """The application store in the collection `applications` of a MongoDB database. It never sees a credential."""

    def __init__(self, database: Database) -> None:
        self._applications = database.get_collection("applications")

    async def find(self, credential: Credential) -> Application | None:
        field = "token_digest" if credential.may_read else "collector_digest"
        try:
            document = await self._applications.find_one({field: credential.digest}, projection={"_id": 1})
        except PyMongoError as error:
            raise DatabaseUnavailable from error
        return None if document is None else Application(document["_id"], credential.may_read)

    async def ensure(self, application_id: str, name: str, collector_digest: bytes, token_digest: bytes) -> None:
        """Register an application, or replace what is registered under its id.

        Raises CredentialTaken where another application has one of the credentials.
        """
        digests = {"collector_digest": collector_digest, "token_digest": token_digest}
        try:
            await self._applications.update_one(
                {"_id": application_id},
                {"$set": {"name": name, **digests}, "$currentDate": {"modified_time": True}},
                upsert=True,
            )
        except DuplicateKeyError as error:
            raise CredentialTaken from error
