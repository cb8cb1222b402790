"""The declared indexes of an application."""

from datetime import UTC, datetime

import typer

from cli.arguments import ApplicationId
from cli.commands.applications.options import DeclaredPath
from cli.database import with_applications
from cli.output import Json, note, print_fields, print_json, print_result
from server.query.declared_paths import text_of

app = typer.Typer()


@app.command()
def declare_index(application_id: ApplicationId, path: DeclaredPath, as_json: Json = False) -> None:
    """Let servers build an index of a path, for filters, orders and counts."""
    with_applications(lambda store: store.declare(application_id, path, datetime.now(UTC)))
    print_result({"declared": text_of(path)}, as_json)
    note("Running servers build the index in the background, and use it once it is ready.")


@app.command()
def withdraw_index(application_id: ApplicationId, path: DeclaredPath, as_json: Json = False) -> None:
    """Withdraw a declared path, and drop its index."""
    with_applications(lambda store: store.withdraw(application_id, path))
    print_result({"withdrawn": text_of(path)}, as_json)


@app.command()
def list_indexes(application_id: ApplicationId, as_json: Json = False) -> None:
    """List the declared paths of an application."""
    paths = with_applications(lambda store: store.declared(application_id))
    if as_json:
        print_json(paths)
    for path in () if as_json else paths:
        print_fields({"declared": path})
