"""`python -m server.backup`: writes the database to a file while servers run, and restores it.

The database is that of USERFOLD_MONGODB_URI, or the embedded one, whether it is running or not.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from server.errors import BackupFailed, OperatorError
from server.local.mongod import EmbeddedMongod, MongodUnavailable, uri_of_running
from server.mongo import replica_set
from server.mongo.backups import backup
from server.mongo.backups.backup import Counts
from server.mongo.client import Database, connect, open_database
from server.mongo.migrations import MIGRATIONS, version_after
from server.settings import InvalidSetting, Settings

_Result = TypeVar("_Result")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns exit status 0, or 1 after one line on stderr that says why."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (InvalidSetting, MongodUnavailable, OperatorError, OSError) as error:
        print(f"userfold: {error}", file=sys.stderr)
        return 1
    return 0


def _create(options: argparse.Namespace) -> None:
    path: Path = options.file
    if path.exists():
        raise BackupFailed(f"{path} already exists")
    # The file has another name until it is complete and on the disk.
    draft = path.with_name(f"{path.name}.partial")
    draft.unlink(missing_ok=True)
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            counts = _run(lambda database: backup.dump(database, file))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    print(f"backed up         {_described(counts)}")


def _verify(options: argparse.Namespace) -> None:
    header, counts = _verified(options.file)
    print(f"whole             {_described(counts)}, of {header['created_time']:%Y-%m-%d %H:%M:%S} UTC")


def _restore(options: argparse.Namespace) -> None:
    _, counts = _verified(options.file)
    with options.file.open("rb") as file:
        version = version_after(MIGRATIONS)
        erased = _run(lambda database: backup.load(database, file, version, replace=options.replace))
    print(f"restored          {_described(counts)}")
    if erased:
        print(f"left out          {erased:,} users, who are erased in the database")


def _verified(path: Path) -> tuple[Mapping[str, object], Counts]:
    with path.open("rb") as file:
        return backup.verify(file)


def _described(counts: Counts) -> str:
    return ", ".join(f"{counts.get(name, 0):,} {name}" for name in ("profiles", "applications", "credentials"))


def _run(command: Callable[[Database], Awaitable[_Result]]) -> _Result:
    settings = Settings.from_environment(os.environ)

    async def run(uri: str) -> _Result:
        client = connect(uri)
        try:
            return await command(open_database(client, settings.database))
        finally:
            client.close()

    with _mongodb(settings) as uri:
        return asyncio.run(run(uri))


@contextmanager
def _mongodb(settings: Settings) -> Iterator[str]:
    """The URI of the operator's database, of the running embedded MongoDB, or of one that runs for the block."""
    data_dir = Path(settings.data_dir)
    if uri := settings.mongodb_uri or uri_of_running(data_dir):
        yield uri
        return
    with EmbeddedMongod(data_dir) as mongod:
        replica_set.initiate(mongod.uri)
        yield mongod.uri


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server.backup", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("create", _create, "write a snapshot of the database to a new file that only the current user can read"),
        ("verify", _verify, "read a whole backup, and print what it holds"),
        ("restore", _restore, "verify a backup, then replace the database by it; no server may be running"),
    ):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        added.add_argument("file", metavar="FILE", type=Path)
        if command is _restore:
            added.add_argument("--replace", action="store_true", help="replace a database that is not empty")
    return parser


if __name__ == "__main__":
    sys.exit(main())
