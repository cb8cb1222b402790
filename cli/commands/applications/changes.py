"""Applications: renamed and deleted."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from cli.arguments import ApplicationId
from cli.commands.applications.options import Name
from cli.database import with_applications, with_database
from cli.failures import CommandFailed, ExitStatus
from cli.output import Json, note, print_result
from server.accounts.ports import Counts
from server.mongo.client import Database
from server.mongo.migrations import MIGRATIONS, version_after
from server.mongo.removal.deletion import ApplicationDeletion, Progress, Step
from server.mongo.schema import prepare

_Result = TypeVar("_Result")

app = typer.Typer()

_REPORTED = 10_000
"""The documents after which progress is reported."""


@app.command()
def rename(application_id: ApplicationId, name: Name, as_json: Json = False) -> None:
    """Give an application another name. Ids, keys, tokens and data stay as they are."""
    with_applications(lambda store: store.rename(application_id, name))
    print_result({"application_id": application_id, "name": name}, as_json)


@app.command()
def delete(
    application_id: ApplicationId,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be deleted, and delete nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Delete an application with its data: users, visitors, companies, suppressions, refusals, credentials and indexes.

    Its credentials are deleted first. Where servers run, the data follows a minute later, when all of them refuse these
    credentials. After an interruption, run the command again.
    """
    counts = _with_deletion(lambda deletion: deletion.count(application_id))
    if not dry_run and not yes:
        _confirm(application_id, counts)
    if not dry_run:
        _with_deletion(lambda deletion: deletion.delete(application_id, _reporter()))
    print_result({"application_id": application_id, "deleted": not dry_run, **counts}, as_json)


def _with_deletion(command: Callable[[ApplicationDeletion], Awaitable[_Result]]) -> _Result:
    async def run(database: Database) -> _Result:
        await prepare(database, version_after(MIGRATIONS))
        return await command(ApplicationDeletion(database))

    return with_database(run)


def _confirm(application_id: str, counts: Counts) -> None:
    """Ask for the application id. Raises CommandFailed where another one is typed, or nobody can be asked."""
    if not sys.stdin.isatty():
        raise CommandFailed("nothing was deleted: --yes deletes without asking, --dry-run counts", ExitStatus.USAGE)
    note(
        f"This deletes {application_id} for good: {', '.join(f'{number:,} {name}' for name, number in counts.items())}"
    )
    if typer.prompt("Type the application id to delete it", err=True).strip() != application_id:
        raise CommandFailed("nothing was deleted: that is another id")


def _reporter() -> Progress:
    reported = 0

    def report(step: Step, number: int) -> None:
        nonlocal reported
        if step is Step.WAITING:
            if number % 10 == 0:
                note(f"waiting {number} s until every server refuses its credentials")
        elif number - reported >= _REPORTED:
            reported = number
            note(f"deleted {number:,} users, visitors, companies and suppressions")

    return report
