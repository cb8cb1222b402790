"""`userfold export`."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from cli import output
from cli.connection import Target
from cli.exporting.files import STDOUT, written
from cli.exporting.pages import Pages
from cli.exporting.writers import Csv, JsonLines, Writer, split_fields
from cli.progress import Reporter

app = typer.Typer()


class Format(StrEnum):
    """How users are written."""

    JSON_LINES = "jsonl"
    CSV = "csv"


@app.command()
def export_users(
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="The new file; gzip where it ends in .gz. Default: stdout.")
    ] = STDOUT,
    filter_: Annotated[
        str, typer.Option("--filter", metavar="FILTER", help="Which users, such as 'company_id = \"67890\"'.")
    ] = "",
    fields: Annotated[
        str,
        typer.Option(
            metavar="FIELDS",
            help="The fields, separated by commas, such as company_id,metadata.plan. Of CSV they are the columns, each"
            " with a type where it is not a string: metadata.age:number.",
        ),
    ] = "",
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: csv where FILE ends in .csv or .csv.gz, else jsonl.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for a server that is lost.")
    ] = 300.0,
    json: output.Json = False,
) -> None:
    """Export the users of the application, as JSON Lines or CSV, in the order of their created_time.

    `userfold import` takes the file.
    """
    chosen = format_ or (Format.CSV if file.removesuffix(".gz").endswith(".csv") else Format.JSON_LINES)
    named = split_fields(fields)
    writer: Writer = Csv(named) if chosen is Format.CSV else JsonLines(named)
    target = Target.from_environment(os.environ)
    try:
        count, seconds = _export(file, writer, filter_, target, wait, force=force)
    except BrokenPipeError:
        # What reads stdout, such as `head`, has read enough. At its end, Python would write there again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    if file == STDOUT:
        output.note(f"exported {count:,} users")
    elif json:
        output.print_json({"exported_count": count, "seconds": round(seconds, 3)})
    else:
        print(f"exported   {count:,}")
        output.note(f"in {seconds:.1f} s")


def _export(file: str, writer: Writer, filter_: str, target: Target, wait: float, *, force: bool) -> tuple[int, float]:
    """The number of users that were written, and the seconds that it took."""
    # Only a bar needs it, and it may read all users.
    total = Pages(target, wait, output.note).count(filter_) if sys.stderr.isatty() else None
    count = 0
    with written(file, force=force) as out, Reporter("exported", total) as reporter:
        pages = Pages(target, wait, lambda why: reporter.say(f"waiting for the server: {why}"))
        out.write(writer.header())
        for users in pages.users(filter_, list(writer.fields)):
            out.write(writer.lines(users))
            count += len(users)
            reporter.advance(count, count)
        return count, reporter.seconds
