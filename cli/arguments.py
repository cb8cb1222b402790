"""Arguments of several commands: their types, and what they accept."""

import math
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from server.accounts.changes import is_name
from server.accounts.credentials import COLLECTOR_KEY_PREFIX, MANAGEMENT_TOKEN_PREFIX

_SECRETS: Final = {COLLECTOR_KEY_PREFIX: "a collector key", MANAGEMENT_TOKEN_PREFIX: "a management token"}


def kind_of_secret(text: str) -> str | None:
    """What a generated credential is, by its prefix: "a collector key" or "a management token". Else None."""
    return next((kind for prefix, kind in _SECRETS.items() if text.startswith(prefix)), None)


def printable_name(text: str) -> str:
    """A name for people."""
    if not is_name(text):
        raise typer.BadParameter("must be 1 to 100 printable characters, without blanks at the ends")
    return text


def public_id(text: str) -> str:
    """An id of an application or a credential. A secret in its place is refused, and not repeated."""
    if kind := kind_of_secret(text):
        raise typer.BadParameter(f"{kind} in place of an id: `userfold applications list` shows the ids")
    return text


def collector_key(text: str) -> str:
    """A collector key, which may be one that an operator chose."""
    if not (text.strip() == text and text.isascii() and text.isprintable() and 1 <= len(text) <= 1024):
        raise typer.BadParameter("must be 1 to 1,024 printable ASCII characters, without blanks at the ends")
    if text.startswith(MANAGEMENT_TOKEN_PREFIX):
        raise typer.BadParameter("a management token in place of a collector key, which clients may show to anyone")
    return text


def number(text: str, maximum: float, minimum: float) -> float:
    """A number in a range."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not minimum <= value <= maximum:
        raise typer.BadParameter(f"must be a number from {minimum:g} to {maximum:,}")
    return value


ApplicationId: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="APPLICATION_ID", parser=public_id, help="As `userfold applications list` shows it."),
]
CredentialId: TypeAlias = Annotated[
    str, typer.Argument(metavar="CREDENTIAL_ID", parser=public_id, help="As `userfold applications list` shows it.")
]
BackupFile: TypeAlias = Annotated[Path, typer.Argument(metavar="FILE", help="The file of the backup.")]
