"""Applications: registered, listed and shown."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.arguments import ApplicationId, collector_key
from cli.commands.applications.options import Key, Name
from cli.commands.applications.presentation import HEADINGS, json_of, row_of
from cli.database import with_applications
from cli.failures import CommandFailed
from cli.output import Json, note, print_fields, print_json, print_result, print_table
from server.accounts.credentials import (
    MANAGEMENT_TOKEN_PREFIX,
    first_credentials,
    generate_application_id,
    generate_collector_key,
    generate_management_token,
)
from server.mongo.accounts.applications import Listed, MongoApplicationStore

app = typer.Typer()


@app.command()
def create(
    name: Name,
    collector_key: Key = None,
    as_json: Json = False,
) -> None:
    """Register an application, and print its first collector key and management token, once."""
    application_id, now = generate_application_id(), datetime.now(UTC)
    key, token = collector_key or generate_collector_key(), generate_management_token()
    with_applications(
        lambda store: store.ensure(application_id, name, first_credentials(application_id, key, token, now), now)
    )
    values = {"application_id": application_id, "name": name, "collector_key": key, "management_token": token}
    print_result(values, as_json)
    note("Keep both: they cannot be shown again.")


@app.command()
def ensure(
    application_id: ApplicationId,
    name: Name,
    collector_key_file: Annotated[Path, typer.Option(metavar="FILE", help="A file with the collector key.")],
    management_token_file: Annotated[Path, typer.Option(metavar="FILE", help="A file with the management token.")],
) -> None:
    """Register an application with this id and these credentials, unless it is registered: for scripts.

    A registered application stays as it is, so that credentials that were revoked do not come back.
    """
    key, token = (path.read_text().strip() for path in (collector_key_file, management_token_file))
    if not (token.startswith(MANAGEMENT_TOKEN_PREFIX) and len(token) >= len(generate_management_token())):
        raise CommandFailed(
            f"{management_token_file} must hold a management token: {MANAGEMENT_TOKEN_PREFIX} and 64 characters or more"
        )
    key, now = collector_key(key), datetime.now(UTC)
    with_applications(
        lambda store: store.ensure(application_id, name, first_credentials(application_id, key, token, now), now)
    )
    print(f"registered  {application_id}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List applications and their credentials, without the secrets."""
    applications = with_applications(lambda store: store.list_all())
    now = datetime.now(UTC)
    if as_json:
        print_json([json_of(*each, now=now) for each in applications])
        return
    rows = [
        (application.application_id, application.name, *row)
        for application, credentials in applications
        for row in [row_of(each, now) for each in credentials] or [(None,) * len(HEADINGS)]
    ]
    print_table(("APPLICATION ID", "APPLICATION NAME", *HEADINGS), rows)


@app.command()
def show(application_id: ApplicationId, as_json: Json = False) -> None:
    """Print one application: its credentials, without the secrets, and its declared indexes."""

    async def read(store: MongoApplicationStore) -> tuple[Listed, Sequence[str]]:
        indexes = await store.declared(application_id)
        return await store.list_all(), indexes

    applications, indexes = with_applications(read)
    application, credentials = next(each for each in applications if each[0].application_id == application_id)
    now = datetime.now(UTC)
    if as_json:
        print_json(json_of(application, credentials, now=now) | {"indexes": indexes})
        return
    print_fields({"application_id": application_id, "name": application.name, "indexes": ", ".join(indexes) or None})
    print()
    print_table(HEADINGS, [row_of(each, now) for each in credentials])
