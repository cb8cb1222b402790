"""`userfold applications`: applications, their credentials and indexes. These commands use MongoDB."""

import typer

from cli.commands.applications import changes, credentials, indexes, registry

app = typer.Typer(no_args_is_help=True)
app.add_typer(registry.app)
app.add_typer(changes.app)
app.add_typer(credentials.app)
app.add_typer(indexes.app)


@app.callback()
def _applications() -> None:
    """Create, list, change and delete applications, their credentials and indexes."""
