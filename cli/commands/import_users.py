"""`userfold import`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import output
from cli.connection import Target
from cli.failures import CommandFailed, ExitStatus
from cli.importing.columns import Others
from cli.importing.plan import Options
from cli.importing.rows import Refusal
from cli.importing.run import Summary, check, import_file
from cli.importing.source import STDIN, Format, Source
from cli.progress import Reporter

app = typer.Typer()

_INTERRUPTED = 130


@app.command()
def import_users(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file; `-` is stdin.")],
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=FIELD[:TYPE]",
            help="CSV: the field that a column becomes, such as Plan=metadata.plan. Types: string (the default),"
            " number, boolean, json, time. `COLUMN=` ignores the column.",
        ),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="CSV: the column that is the user_id.")
    ] = None,
    others: Annotated[
        Others,
        typer.Option(help="CSV: what becomes of columns that are no fields and have no --map."),
    ] = Others.REFUSE,
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="CHARACTER", help="CSV: what separates cells. Default: what the header has."),
    ] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="The format. Default: what the file begins like.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every row as a server does, and write nothing.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Where the state is kept until the end. Default: FILE.import-state; none for stdin."
        ),
    ] = None,
    refused: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where refused rows are written. Default: beside FILE.")
    ] = None,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for a server that is lost.")
    ] = 300.0,
    json: output.Json = False,
) -> None:
    """Import users from JSON Lines, a JSON array or CSV, gzip or not.

    Run the same command again to continue an import that was stopped. Exit status 4: some rows were refused.
    """
    options = Options(
        name=file,
        format=format_,
        mapping=_mapping(map_ or []),
        id_column=id_column,
        others=others,
        delimiter=_delimiter(delimiter),
        state=state,
        refused=refused,
    )

    def report(source: Source) -> Reporter:
        return Reporter("checked" if dry_run else "imported", source.size)

    try:
        if dry_run:
            summary = check(options, report)
        else:
            target = Target.from_environment(os.environ)
            summary = asyncio.run(import_file(options, target, wait, report))
    except FileNotFoundError as error:
        raise CommandFailed(f"there is no file {error.filename}", ExitStatus.USAGE) from None
    (_print_json if json else _print)(summary, file, dry_run=dry_run)
    if not summary.is_complete:
        raise typer.Exit(_INTERRUPTED)
    if summary.counts.refused:
        raise typer.Exit(ExitStatus.ROWS_REFUSED)


def _mapping(given: list[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for each in given:
        column, found, field = each.rpartition("=")
        if not found or not column:
            raise CommandFailed(f"--map {each}: expected COLUMN=FIELD, such as Plan=metadata.plan", ExitStatus.USAGE)
        mapping[column.strip()] = field.strip()
    return mapping


def _delimiter(given: str | None) -> str | None:
    delimiter = {"tab": "\t", "\\t": "\t"}.get(given, given) if given is not None else None
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise CommandFailed("--delimiter must be one character, or tab", ExitStatus.USAGE)
    return delimiter


def _print(summary: Summary, file: str, *, dry_run: bool) -> None:
    counts = summary.counts
    print(f"{'valid' if dry_run else 'imported':<11}{counts.imported:,}")
    if counts.suppressed:
        print(f"suppressed {counts.suppressed:,} (erased users, whose updates are dropped for a period)")
    if counts.refused:
        print(f"refused    {counts.refused:,}" + (f", in {summary.refused_path}" if summary.refused_path else ""))
    for (field, reason), count in sorted(summary.warnings.items()):
        print(f"warning    {field}: {reason} in {count:,} rows")
    rate = summary.users / max(summary.seconds, 0.001)
    output.note(f"{summary.users:,} rows in {summary.seconds:.1f} s, {rate:,.0f}/s")
    for number, refusal in summary.refusals:
        output.note(f"row {number}: {_line(refusal)}")
    if len(summary.refusals) < counts.refused and dry_run:
        output.note(f"and {counts.refused - len(summary.refusals):,} more")
    if not summary.is_complete:
        output.note(_how_to_continue(summary, file))


def _line(refusal: Refusal) -> str:
    fields = "; ".join(f"{each.field}: {each.description}" for each in refusal.fields)
    return f"{fields or refusal.message} ({refusal.fields[0].reason if refusal.fields else refusal.reason})"


def _how_to_continue(summary: Summary, file: str) -> str:
    if summary.state_path is None:
        return f"stopped after {summary.counts.rows:,} rows; with --state, the same command could continue"
    source = "with the same input " if file == STDIN else ""
    return f"stopped after {summary.counts.rows:,} rows: run the same command {source}again to continue"


def _print_json(summary: Summary, _: str, *, dry_run: bool) -> None:
    counts = summary.counts
    printed: dict[str, Any] = {
        "dry_run": dry_run,
        "complete": summary.is_complete,
        "continued": summary.is_continued,
        "imported_count": 0 if dry_run else counts.imported,
        **({"valid_count": counts.imported} if dry_run else {}),
        "suppressed_count": counts.suppressed,
        "refused_count": counts.refused,
        "refused_file": summary.refused_path,
        "seconds": round(summary.seconds, 3),
        "warnings": [
            {"field": field, "reason": reason, "count": count}
            for (field, reason), count in sorted(summary.warnings.items())
        ],
    }
    if dry_run:
        printed["refused"] = [
            {
                "row": number,
                "reason": refusal.reason,
                "message": refusal.message,
                "fields": [
                    {"field": each.field, "reason": each.reason, "description": each.description}
                    for each in refusal.fields
                ],
            }
            for number, refusal in summary.refusals
        ]
    output.print_json(printed)
    sys.stdout.flush()
