"""Applications in MongoDB: registered, listed and renamed, and their declared paths."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from pymongo import timeout

from server import limits
from server.accounts.applications import StoredApplication
from server.accounts.credentials import StoredCredential
from server.errors import ApplicationNotFound, TooManyApplications, TooManyIndexes
from server.mongo.accounts.credentials import MongoCredentialStore
from server.mongo.accounts.documents import application_from_document, document_from_credential
from server.mongo.accounts.transactions import read_errors, together, write_errors
from server.mongo.client import Database, Session
from server.mongo.declared_indexes import drop, index_options
from server.mongo.driver import CREDENTIAL_SECONDS, WRITE_SECONDS
from server.mongo.schema import KEY, SCHEMA
from server.query.conditions import StoredPath
from server.query.declared_paths import text_of

Listed: TypeAlias = Sequence[tuple[StoredApplication, Sequence[StoredCredential]]]
"""Each application with its credentials."""


class MongoApplicationStore:
    """The collection `applications` of a MongoDB database.

    Every method that reads raises DatabaseUnavailable if the database does not respond, and every other one
    WriteOutcomeUnknown.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._applications = database.get_collection("applications")
        self._credentials = database.get_collection("credentials")

    async def application(self, application_id: str) -> StoredApplication:
        """The application with this id. Raises ApplicationNotFound."""
        with read_errors(), timeout(CREDENTIAL_SECONDS):
            document = await self._applications.find_one({"_id": application_id})
        if document is None:
            raise ApplicationNotFound
        return application_from_document(document)

    async def list_all(self) -> Listed:
        """All applications, ordered by name, each with its credentials, oldest first."""
        with read_errors():
            applications = await self._applications.find().sort([("name", 1), ("_id", 1)]).to_list(None)
        credentials = await MongoCredentialStore(self._database).by_application()
        return [(application_from_document(each), credentials.get(each["_id"], [])) for each in applications]

    async def ensure(
        self, application_id: str, name: str, credentials: Sequence[StoredCredential], now: datetime
    ) -> None:
        """Register an application with these credentials, all or none, unless one has its id.

        A registered application stays as it is: its revoked and expired credentials are not restored. Raises
        CredentialTaken if another application has one of the credentials.
        """

        async def write(session: Session) -> None:
            # An early version stored the digests in the application itself, and no credentials.
            register = {
                "$setOnInsert": {"name": name, "created_time": now},
                "$unset": {"collector_digest": "", "token_digest": ""},
            }
            before = await self._applications.find_one_and_update(
                {"_id": application_id}, register, upsert=True, session=session
            )
            own = {"application_id": application_id}
            if before is None or (
                "token_digest" in before and await self._credentials.find_one(own, session=session) is None
            ):
                for each in credentials:
                    await self._credentials.insert_one(document_from_credential(each), session=session)

        await together(self._database, write)

    async def create(
        self, application: StoredApplication, credentials: Sequence[StoredCredential], creator_id: str
    ) -> None:
        """Register an application that a credential of another one, `creator_id`, creates. Raises TooManyApplications.

        All that descend from one application count together, so that creating creators gains nothing.
        """

        async def write(session: Session) -> None:
            # Two creations conflict in this document, and one of them starts again: so none counts too few.
            changed = {"$inc": {"applications_created": 1}}
            await self._database.get_collection(SCHEMA).update_one(KEY, changed, session=session)
            creator = await self._applications.find_one({"_id": creator_id}, session=session) or {}
            first = creator.get("created_by", creator_id)
            for query, limit in (({}, limits.APPLICATIONS), ({"created_by": first}, limits.APPLICATIONS_OF_ONE)):
                if await self._applications.count_documents(query, limit=limit, session=session) >= limit:
                    raise TooManyApplications
            document = {
                "_id": application.application_id,
                "name": application.name,
                "created_time": application.created_time,
                "created_by": first,
            }
            await self._applications.insert_one(document, session=session)
            await self._database.get_collection("credentials").insert_many(
                [document_from_credential(each) for each in credentials], session=session
            )

        await together(self._database, write)

    async def rename(self, application_id: str, name: str) -> None:
        """Give an application another name. Raises ApplicationNotFound."""
        with write_errors(), timeout(WRITE_SECONDS):
            result = await self._applications.update_one({"_id": application_id}, {"$set": {"name": name}})
        if not result.matched_count:
            raise ApplicationNotFound

    async def declare(self, application_id: str, path: StoredPath, now: datetime) -> None:
        """Declare a path of an application, so that servers build its index.

        Raises ApplicationNotFound, or TooManyIndexes.
        """
        text, last = text_of(path), f"indexes.{limits.DECLARED_PATHS - 1}"
        with write_errors(), timeout(WRITE_SECONDS):
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
        with write_errors():
            if not (await self._applications.update_one({"_id": application_id}, withdrawn)).matched_count:
                raise ApplicationNotFound
            name = index_options(application_id, path)["name"]
            await drop(self._database.get_collection("profiles"), name)

    async def declared(self, application_id: str) -> Sequence[str]:
        """The declared paths of an application. Raises ApplicationNotFound."""
        with read_errors(), timeout(CREDENTIAL_SECONDS):
            document = await self._applications.find_one({"_id": application_id}, projection=["indexes"])
        if document is None:
            raise ApplicationNotFound
        return sorted(each["path"] for each in document.get("indexes", ()))
