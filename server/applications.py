"""`python -m server.applications create NAME`: register an application and print its credentials, once."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from server.credentials import digest, generate_application_id, generate_collector_key, generate_management_token
from server.errors import CredentialTaken
from server.settings import InvalidSetting, Settings
from server.store.applications import MongoApplicationStore
from server.store.database import connect, open_database, prepare


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. The exit status: 0, or 1 with one line on stderr that says why."""
    options = _parser().parse_args(arguments)
    try:
        uri, database = _database()
        application_id = generate_application_id()
        collector_key = options.collector_key or generate_collector_key()
        management_token = generate_management_token()
        ensure(uri, database, application_id, options.name, collector_key, management_token)
    except CredentialTaken:
        print("userfold: another application has this collector key", file=sys.stderr)
        return 1
    except InvalidSetting as error:
        print(f"userfold: {error}", file=sys.stderr)
        return 1
    print(f"application       {application_id}  {options.name}")
    print(f"application_id    {collector_key}")
    print(f"management_token  {management_token}")
    print("Keep both: they cannot be shown again.", file=sys.stderr)
    return 0


def ensure(uri: str, database: str, application_id: str, name: str, collector_key: str, management_token: str) -> None:
    """Register an application, or replace what is registered under its id.

    Raises CredentialTaken, or InvalidSetting where the database cannot be used.
    """

    async def run() -> None:
        client = connect(uri)
        try:
            opened = open_database(client, database)
            await prepare(opened)
            store = MongoApplicationStore(opened)
            await store.ensure(application_id, name, digest(collector_key), digest(management_token))
        finally:
            client.close()

    asyncio.run(run())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server.applications", description=__doc__)
    commands = parser.add_subparsers(required=True)
    create = commands.add_parser("create", help="register an application and print its credentials, once")
    create.add_argument("name", help="what people call it")
    create.add_argument(
        "--collector-key",
        metavar="KEY",
        type=_collector_key,
        help="an application id that deployed clients send already, instead of a new one",
    )
    return parser


def _collector_key(text: str) -> str:
    if not (text.strip() == text and text.isascii() and text.isprintable() and 1 <= len(text) <= 1024):
        raise argparse.ArgumentTypeError("must be 1 to 1,024 printable ASCII characters, without blanks at the ends")
    return text


def _database() -> tuple[str, str]:
    settings = Settings.from_environment(os.environ)
    if settings.mongodb_uri is None:
        raise InvalidSetting(
            "set USERFOLD_MONGODB_URI to the MongoDB that the servers use (`make run` prints its own as mongodb=...)"
        )
    return settings.mongodb_uri, settings.database


if __name__ == "__main__":
    sys.exit(main())
