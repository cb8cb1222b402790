"""Profiles that commands print, as a table or as JSON Lines, and the question before what cannot be undone."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import orjson
import typer
from google.protobuf.message import Message

from cli.failures import CommandFailed, ExitStatus
from cli.output import note, print_json_line, print_table
from gateway.transcoding.json_encoder import plain
from server.errors import InvalidRequest
from server.query.grammar import parse_paths

PAGE: Final = 1000
"""The largest page, and the largest batch of deletions, that the server takes."""

Page: TypeAlias = Callable[[int, str], tuple[Sequence[Message], str]]
"""Requests a page of so many profiles, after the page that returned this token. Returns it, and the next token."""

Columns: TypeAlias = dict[str, tuple[str, ...]]
"""The fields that are printed, each with the names on the way to it."""


def columns_of(text: str, key: str) -> Columns:
    """The columns of a list of fields such as `company_id,metadata."a.b"`. `key`, such as `user_id`, is the first."""
    try:
        listed = parse_paths(text, "fields")
    except InvalidRequest as error:
        raise typer.BadParameter(error.violations[0].description) from None
    ends = [each.column - 1 for each in listed[1:]] + [len(text)]
    names = [text[each.column - 1 : end].strip(" ,") for each, end in zip(listed, ends, strict=True)]
    return {key: (key,)} | {name: each.path for name, each in zip(names, listed, strict=True)}


def print_profiles(page: Page, limit: int, columns: Columns, as_json: bool, what: str) -> None:
    """Print the first `limit` profiles of all pages; 0: all. `what`, such as "users", is what they are called."""
    rows, token, left = [], "", limit
    while True:
        profiles, token = page(min(left, PAGE) if limit else PAGE, token)
        for profile in profiles:
            if as_json:
                print_json_line(plain(profile))
            else:
                shown = plain(profile)
                rows.append([cell_of(shown, path) for path in columns.values()])
        left -= len(profiles)
        if not token or (limit and left <= 0):
            break
    if not as_json:
        print_table([column.upper() for column in columns], rows)
    if token:
        note(f"There are more {what}: a higher --limit prints further ones, and --limit 0 all.")


def cell_of(profile: Any, path: tuple[str, ...]) -> str | None:
    """The value at a path of a profile, as JSON where it is not a string."""
    for name in path:
        profile = profile.get(name) if isinstance(profile, dict) else None
    if profile is None or profile == "":
        return None
    return profile if isinstance(profile, str) else orjson.dumps(profile).decode()


def confirm_erasure(what: str, is_confirmed: bool) -> None:
    """Ask before an erasure of `what`, such as "3 users". Raises CommandFailed where nobody can answer."""
    confirm("an erasure", f"Erase {what} for good?", is_confirmed)


def confirm(what: str, question: str, is_confirmed: bool) -> None:
    """Ask a question before `what`, such as "a merge", which cannot be undone.

    Raises CommandFailed where nobody can answer.
    """
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(f"{what} cannot be undone: confirm it with --yes", ExitStatus.USAGE)
    typer.confirm(question, abort=True, err=True)
