"""The connection to MongoDB, for commands that operators run where the database can be reached."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from cli.failures import CommandFailed, ExitStatus
from runtime.certificates import CertificateUnusable
from server.errors import DatabaseUnavailable, QueryTooSlow, WriteOutcomeUnknown
from server.local.mongod import EmbeddedMongod, MongodUnavailable, uri_of_running
from server.mongo import replica_set
from server.mongo.accounts.applications import MongoApplicationStore
from server.mongo.accounts.credentials import MongoCredentialStore
from server.mongo.client import Database, connect, open_database
from server.mongo.deployment import find_deployment
from server.mongo.migrations import MIGRATIONS, version_after
from server.mongo.schema import prepare
from server.settings import InvalidSetting, Settings

_Result = TypeVar("_Result")


def with_database(command: Callable[[Database], Awaitable[_Result]], *, creates: bool = False) -> _Result:
    """The result of a command on the database of USERFOLD_MONGODB_URI, or on the embedded one, running or not.

    Only a command that `creates` a database starts an embedded one that has no data yet. Raises InvalidSetting or
    CommandFailed where there is no database, or it does not answer.
    """
    try:
        settings = Settings.from_environment(os.environ)
        with _mongodb(settings, creates=creates) as uri:
            return asyncio.run(_run(command, uri, settings.database))
    except CertificateUnusable as error:
        raise CommandFailed(str(error), ExitStatus.USAGE) from None
    except MongodUnavailable as error:
        raise CommandFailed(str(error)) from None
    except (DatabaseUnavailable, QueryTooSlow, WriteOutcomeUnknown, TimeoutError) as error:
        raise CommandFailed("the MongoDB of USERFOLD_MONGODB_URI does not answer", ExitStatus.UNAVAILABLE) from error


def with_applications(command: Callable[[MongoApplicationStore], Awaitable[_Result]]) -> _Result:
    """As `with_database`, with the store of applications. The collections are prepared first, as servers do."""

    async def run(database: Database) -> _Result:
        await prepare(database, version_after(MIGRATIONS))
        return await command(MongoApplicationStore(database))

    return with_database(run)


def with_credentials(command: Callable[[MongoCredentialStore], Awaitable[_Result]]) -> _Result:
    """As `with_applications`, with the store of credentials."""

    async def run(database: Database) -> _Result:
        await prepare(database, version_after(MIGRATIONS))
        return await command(MongoCredentialStore(database))

    return with_database(run)


async def _run(command: Callable[[Database], Awaitable[_Result]], uri: str, name: str) -> _Result:
    try:
        deployment = await asyncio.to_thread(find_deployment, uri)
        if deployment.fault:
            raise InvalidSetting(deployment.fault)
        client = connect(uri, **deployment.options)
        try:
            return await command(open_database(client, name))
        finally:
            client.close()
    except InvalidSetting as error:
        # The settings could be read, but the database that they name cannot be used, or not by this version.
        raise CommandFailed(str(error)) from error


@contextmanager
def _mongodb(settings: Settings, *, creates: bool) -> Iterator[str]:
    """The URI of the operator's database, of the running embedded MongoDB, or of one that runs for the block."""
    data_dir = Path(settings.data_dir)
    if uri := settings.mongodb_uri or uri_of_running(data_dir):
        yield uri
        return
    if not creates and not (data_dir / "mongodb").exists():
        raise CommandFailed(
            "set USERFOLD_MONGODB_URI to the MongoDB that the servers use, or USERFOLD_DATA_DIR to the directory of an"
            f" embedded one: there is none in {data_dir}",
            ExitStatus.USAGE,
        )
    with EmbeddedMongod(data_dir) as mongod:
        replica_set.initiate(mongod.uri)
        yield mongod.uri
