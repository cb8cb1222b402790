"""The table of applications and credentials for operators. It holds no secret and no digest."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from server.accounts.credentials import StoredCredential
from server.model import CredentialKind

_HEADINGS = ("APPLICATION", "APPLICATION NAME", "CREDENTIAL", "KIND", "NAME", "SCOPES", "CREATED", "EXPIRES")
_KINDS = {CredentialKind.COLLECTOR: "collector key", CredentialKind.MANAGEMENT: "management token"}
_NONE = "-"


def lines_of(applications: Sequence[tuple[str, str, Sequence[StoredCredential]]], now: datetime) -> Iterator[str]:
    """The lines of the table. An application without credentials has one line, too. Times are in UTC."""
    rows = [_HEADINGS]
    for application_id, name, credentials in applications:
        cells = [_cells(credential, now) for credential in credentials] or [(_NONE,) * 6]
        rows += [(application_id, name, *row) for row in cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(credential: StoredCredential, now: datetime) -> tuple[str, str, str, str, str, str]:
    return (
        credential.credential_id,
        _KINDS[credential.kind],
        credential.name or _NONE,
        ",".join(sorted(credential.scopes)) or _NONE,
        _time(credential.created_time),
        _end(credential, now),
    )


def _end(credential: StoredCredential, now: datetime) -> str:
    if credential.expire_time is None:
        return "never"
    state = "expired " if credential.expire_time <= now else ""
    return state + _time(credential.expire_time)


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
