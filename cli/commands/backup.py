"""`userfold backup`: the database as a file, written while servers run. Uses MongoDB."""

import os
from typing import Annotated

import typer

from cli.arguments import BackupFile
from cli.backup_files import described, json_of, verified
from cli.database import with_database
from cli.output import Json, print_fields, print_json
from server.errors import BackupFailed
from server.mongo.backups import backup

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _backup() -> None:
    """Write the database to a file, and verify such a file."""


@app.command()
def create(
    file: BackupFile,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Also back up a database without profiles and applications.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a snapshot of the database to a new file that only the current user can read."""
    if file.exists():
        raise BackupFailed(f"{file} already exists")
    # The file has another name until it is complete and on the disk.
    draft = file.with_name(f"{file.name}.partial")
    draft.unlink(missing_ok=True)
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
            counts = with_database(lambda database: backup.dump(database, output, allow_empty=allow_empty))
            output.flush()
            os.fsync(output.fileno())
        draft.rename(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if as_json:
        print_json(json_of(counts))
    else:
        print_fields({"backed up": described(counts)})


@app.command()
def verify(file: BackupFile, as_json: Json = False) -> None:
    """Read a whole backup, and print what it holds."""
    header, counts = verified(file)
    if as_json:
        print_json(json_of(counts, header["created_time"]))
    else:
        print_fields({"whole": f"{described(counts)}, of {header['created_time']:%Y-%m-%d %H:%M:%S} UTC"})
