"""`userfold gateway`: the HTTP gateway. It runs in this process, as `python -m gateway` does."""

import typer

from gateway.__main__ import main

app = typer.Typer()


@app.command()
def gateway() -> None:
    """Run the HTTP gateway. `userfold config` shows its settings."""
    raise typer.Exit(main())
