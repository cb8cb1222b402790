"""`userfold restore`: a database from a backup, while no server runs. Uses MongoDB."""

from typing import Annotated

import typer

from cli.arguments import BackupFile
from cli.backup_files import described, json_of, verified
from cli.database import with_database
from cli.output import Json, print_fields, print_json
from server.mongo.backups import backup
from server.mongo.migrations import MIGRATIONS, version_after

app = typer.Typer()


@app.command()
def restore(
    file: BackupFile,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a database that is not empty.")] = False,
    as_json: Json = False,
) -> None:
    """Verify a backup, then replace the database by it. No server may be running."""
    _, counts = verified(file)
    with file.open("rb") as opened:
        erased = with_database(
            lambda database: backup.load(database, opened, version_after(MIGRATIONS), replace=replace), creates=True
        )
    if as_json:
        print_json(json_of(counts) | {"erased_users": erased})
        return
    left_out = f"{erased:,} users, who are erased in the database" if erased else None
    print_fields({"restored": described(counts), "left out": left_out})
