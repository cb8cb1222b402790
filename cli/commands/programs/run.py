"""`userfold run`: the whole stack. It runs in this process, as `python -m server.local.run` does."""

import typer

from server.local.run import main

app = typer.Typer()


@app.command()
def run() -> None:
    """Run MongoDB, the server and the gateway on this machine, until Ctrl-C. `userfold config` shows its settings."""
    raise typer.Exit(main())
