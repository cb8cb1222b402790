"""`python -m server.applications`: applications, their collector keys and their management tokens."""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from server.accounts.credentials import (
    StoredCredential,
    digest,
    generate_application_id,
    generate_collector_key,
    generate_credential_id,
    generate_management_token,
    generate_secret,
    rotate,
)
from server.accounts.inventory import lines_of
from server.accounts.scopes import COLLECTOR_SCOPES
from server.errors import DatabaseUnavailable, OperatorError, PathNotDeclarable
from server.model import CredentialKind, Scope
from server.mongo.accounts import MongoApplicationStore
from server.mongo.client import connect, open_database
from server.mongo.migrations import MIGRATIONS, version_after
from server.mongo.schema import prepare
from server.query.conditions import StoredPath
from server.query.declared_paths import declared_path, text_of
from server.settings import InvalidSetting, Settings

Command: TypeAlias = Callable[[MongoApplicationStore, argparse.Namespace], Awaitable[None]]

_LABELS = {CredentialKind.COLLECTOR: "application_id", CredentialKind.MANAGEMENT: "management_token"}
_EFFECT = "Running servers apply this within 30 seconds."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status: 0, or 1 with the reason on one line of stderr."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_run(options.command, options))
    except (InvalidSetting, OperatorError) as error:
        print(f"userfold: {error}", file=sys.stderr)
        return 1
    return 0


def ensure(uri: str, database: str, application_id: str, name: str, collector_key: str, management_token: str) -> None:
    """Register an application with these credentials unless its id is registered. The token gets all scopes.

    An application that is registered is not changed, so that credentials that were revoked or have expired do not come
    back. Raises CredentialTaken, or InvalidSetting where the database cannot be used.
    """

    async def run() -> None:
        async with _open(uri, database) as store:
            await _ensure(store, application_id, name, collector_key, management_token)

    asyncio.run(run())


async def _run(command: Command, options: argparse.Namespace) -> None:
    settings = Settings.from_environment(os.environ)
    if settings.mongodb_uri is None:
        raise InvalidSetting(
            "set USERFOLD_MONGODB_URI to the MongoDB that the servers use (`make run` prints its own as mongodb=...)"
        )
    async with _open(settings.mongodb_uri, settings.database) as store:
        await command(store, options)


@asynccontextmanager
async def _open(uri: str, database: str) -> AsyncIterator[MongoApplicationStore]:
    client = connect(uri)
    try:
        opened = open_database(client, database)
        await prepare(opened, version_after(MIGRATIONS))
        yield MongoApplicationStore(opened)
    except DatabaseUnavailable as error:
        raise InvalidSetting("the MongoDB of USERFOLD_MONGODB_URI does not answer") from error
    finally:
        client.close()


async def _ensure(
    store: MongoApplicationStore, application_id: str, name: str, collector_key: str, management_token: str
) -> None:
    key = _issue(application_id, CredentialKind.COLLECTOR, collector_key)
    token = _issue(application_id, CredentialKind.MANAGEMENT, management_token, "first", frozenset({Scope.ADMIN}))
    await store.ensure(application_id, name, [key, token])


async def _create(store: MongoApplicationStore, options: argparse.Namespace) -> None:
    application_id = generate_application_id()
    collector_key = options.collector_key or generate_collector_key()
    management_token = generate_management_token()
    await _ensure(store, application_id, options.name, collector_key, management_token)
    print(f"application       {application_id}  {options.name}")
    print(f"application_id    {collector_key}")
    print(f"management_token  {management_token}")
    print("Keep both: they cannot be shown again.", file=sys.stderr)


async def _list(store: MongoApplicationStore, _: argparse.Namespace) -> None:
    print(*lines_of(await store.list_all(), datetime.now(UTC)), sep="\n")


async def _create_token(store: MongoApplicationStore, options: argparse.Namespace) -> None:
    secret = generate_management_token()
    lifetime = None if options.expires_in is None else timedelta(days=options.expires_in)
    token = _issue(options.application_id, CredentialKind.MANAGEMENT, secret, options.name, options.scopes, lifetime)
    await store.add(token)
    _show(token, secret)


async def _create_key(store: MongoApplicationStore, options: argparse.Namespace) -> None:
    secret = options.collector_key or generate_collector_key()
    key = _issue(options.application_id, CredentialKind.COLLECTOR, secret)
    await store.add(key)
    _show(key, secret)


async def _rotate(store: MongoApplicationStore, options: argparse.Namespace) -> None:
    old = await store.get(options.credential_id)
    secret = generate_secret(old.kind)
    old, new = rotate(old, secret, datetime.now(UTC), timedelta(hours=options.overlap))
    await store.replace(old, new)
    _show(new, secret)
    print(f"{old.credential_id} works until {old.expire_time:%Y-%m-%d %H:%M} UTC. {_EFFECT}", file=sys.stderr)


async def _revoke(store: MongoApplicationStore, options: argparse.Namespace) -> None:
    await store.revoke(options.credential_id)
    print(f"revoked           {options.credential_id}")
    print(_EFFECT, file=sys.stderr)


async def _declare(store: MongoApplicationStore, options: argparse.Namespace) -> None:
    await store.declare(options.application_id, options.path, datetime.now(UTC))
    print(f"declared          {text_of(options.path)}")
    print("Running servers build the index in the background, and use it once it is ready.", file=sys.stderr)


async def _withdraw(store: MongoApplicationStore, options: argparse.Namespace) -> None:
    await store.withdraw(options.application_id, options.path)
    print(f"withdrawn         {text_of(options.path)}")


async def _declared(store: MongoApplicationStore, options: argparse.Namespace) -> None:
    for path in await store.declared(options.application_id):
        print(f"declared          {path}")


def _issue(
    application_id: str,
    kind: CredentialKind,
    secret: str,
    name: str = "",
    scopes: frozenset[Scope] = COLLECTOR_SCOPES,
    lifetime: timedelta | None = None,
) -> StoredCredential:
    now = datetime.now(UTC)
    end = None if lifetime is None else now + lifetime
    return StoredCredential(digest(secret), generate_credential_id(), application_id, kind, name, scopes, now, end)


def _show(credential: StoredCredential, secret: str) -> None:
    print(f"credential        {credential.credential_id}  {credential.name}".rstrip())
    print(f"{_LABELS[credential.kind]:<18}{secret}")
    print("Keep it: it cannot be shown again.", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server.applications", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    create = add("create", _create, "register an application, and print its first key and token, once")
    create.add_argument("name", type=_name, help="the name of the application, for people")
    add("list", _list, "list applications and their credentials, without the secrets")
    token = add("create-token", _create_token, "give an application a management token, and print it, once")
    token.add_argument("application_id", metavar="APPLICATION_ID", help="as `list` shows it")
    token.add_argument("--name", type=_name, required=True, help="who or what uses the token")
    token.add_argument(
        "--scopes",
        type=_scopes,
        required=True,
        help=f"scopes, separated by commas: {', '.join(Scope)} ({Scope.ADMIN}: all of them)",
    )
    token.add_argument(
        "--expires-in",
        metavar="DAYS",
        type=_days,
        help="the lifetime of the token; without it, the token does not expire",
    )
    key = add("create-key", _create_key, "give an application another collector key, and print it, once")
    key.add_argument("application_id", metavar="APPLICATION_ID", help="as `list` shows it")
    for command in (create, key):
        command.add_argument(
            "--collector-key",
            metavar="KEY",
            type=_collector_key,
            help="a key that deployed clients already send, instead of a new one",
        )
    rotated = add(
        "rotate", _rotate, "replace a key or token by a new one with the same scopes; the old one expires soon"
    )
    rotated.add_argument("--overlap", metavar="HOURS", type=_hours, default=24.0, help="how long both work (24)")
    revoked = add("revoke", _revoke, "revoke a key or token")
    for command in (rotated, revoked):
        command.add_argument("credential_id", metavar="CREDENTIAL_ID", help="as `list` shows it")
    declare = add("declare-index", _declare, "let servers build an index of a path, for filters, orders and counts")
    withdraw = add("withdraw-index", _withdraw, "withdraw a declared path, and drop its index")
    declared = add("list-indexes", _declared, "list the declared paths of an application")
    for command in (declare, withdraw, declared):
        command.add_argument("application_id", metavar="APPLICATION_ID", help="as `list` shows it")
    for command in (declare, withdraw):
        command.add_argument(
            "path", metavar="PATH", type=_path, help="a field of filters, such as metadata.sales_info.stage"
        )
    return parser


def _path(text: str) -> StoredPath:
    try:
        return declared_path(text)
    except PathNotDeclarable as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _collector_key(text: str) -> str:
    if not (text.strip() == text and text.isascii() and text.isprintable() and 1 <= len(text) <= 1024):
        raise argparse.ArgumentTypeError("must be 1 to 1,024 printable ASCII characters, without blanks at the ends")
    return text


def _name(text: str) -> str:
    if not (text.strip() == text and text.isprintable() and 1 <= len(text) <= 100):
        raise argparse.ArgumentTypeError("must be 1 to 100 printable characters, without blanks at the ends")
    return text


def _scopes(text: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(each.strip()) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(Scope)}, separated by commas") from None


def _days(text: str) -> float:
    return _number(text, 36_500)


def _hours(text: str) -> float:
    return _number(text, 8_760, minimum=0)


def _number(text: str, maximum: float, minimum: float = 0.001) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not minimum <= number <= maximum:
        raise argparse.ArgumentTypeError(f"must be a number from {minimum:g} to {maximum:,}")
    return number


if __name__ == "__main__":
    sys.exit(main())
