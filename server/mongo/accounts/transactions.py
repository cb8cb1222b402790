"""Changes of applications and credentials, each in one transaction, and what their failures mean."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pymongo import timeout
from pymongo.errors import DuplicateKeyError, PyMongoError

from server.errors import ApplicationNotFound, CredentialTaken, DatabaseUnavailable, WriteOutcomeUnknown
from server.mongo.client import Database, Session
from server.mongo.driver import WRITE_SECONDS

_Result = TypeVar("_Result")


@contextmanager
def read_errors() -> Iterator[None]:
    """Raise DatabaseUnavailable where the database does not respond to a read."""
    try:
        yield
    except PyMongoError as error:
        raise DatabaseUnavailable from error


@contextmanager
def write_errors() -> Iterator[None]:
    """Raise CredentialTaken for a second credential with one digest, and WriteOutcomeUnknown where the database does
    not confirm a write."""
    try:
        yield
    except DuplicateKeyError as error:
        raise CredentialTaken from error
    except PyMongoError as error:
        raise WriteOutcomeUnknown from error


async def together(database: Database, write: Callable[[Session], Coroutine[Any, Any, _Result]]) -> _Result:
    """The result of `write`, in one transaction, which may call it several times. Raises what `write_errors` raises.

    A transaction that is left open keeps its locks for a minute, and commands that create collections wait for them. So
    it is ended even where the caller goes away or has waited long enough: a driver's thread cannot be cancelled, and
    would begin the transaction after its abortion.
    """
    deadline = time.monotonic() + WRITE_SECONDS

    # Only what is written has this limit: the driver would not abort a transaction whose time is used up.
    async def write_in_time(session: Session) -> _Result:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise WriteOutcomeUnknown
        with timeout(remaining):
            return await write(session)

    with write_errors():
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                return await asyncio.shield(_in_transaction(database, write_in_time))
        except TimeoutError as error:
            raise WriteOutcomeUnknown from error


async def _in_transaction(database: Database, write: Callable[[Session], Coroutine[Any, Any, _Result]]) -> _Result:
    async with await database.client.start_session() as session:
        # A transaction inherits the concerns of the client, not those of the database.
        result: _Result = await session.with_transaction(
            write, write_concern=database.write_concern, read_concern=database.read_concern
        )
        return result


async def one_at_a_time(database: Database, application_id: str, session: Session) -> None:
    """Let no other transaction change the credentials of an application until this one ends.

    Raises ApplicationNotFound, also where the application is being deleted.
    """
    present = {"_id": application_id, "deleting_time": {"$exists": False}}
    # Two transactions that write to one document conflict, and MongoDB makes one of them start again.
    changed = {"$inc": {"credential_changes": 1}}
    result = await database.get_collection("applications").update_one(present, changed, session=session)
    if not result.matched_count:
        raise ApplicationNotFound
