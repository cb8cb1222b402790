"""`userfold server`: the gRPC server. It runs in this process, as `python -m server` does."""

import typer

from server.__main__ import main

app = typer.Typer()


@app.command()
def server() -> None:
    """Run the gRPC server. `userfold config` shows its settings."""
    raise typer.Exit(main())
