"""How users are written: as JSON Lines, or as CSV with columns."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from userfold.v1.user_pb2 import User

from cli.failures import CommandFailed, ExitStatus
from cli.importing.cells import TYPES
from gateway.transcoding.json_encoder import plain
from server.errors import InvalidRequest
from server.query.grammar import parse_paths

ALL_COLUMNS: Final = (
    *("user_id", "company_id", "anonymous_id", "ip_address", "observed_ip_address", "user_agent_string"),
    *("created_time", "modified_time", "campaign:json", "initial_campaign:json", "initial_campaign_time"),
    *("latest_campaign:json", "latest_campaign_time", "metadata:json"),
)
"""The columns of CSV where the user names none: everything that an import takes back."""

_COMMA: Final = re.compile(r""",(?=(?:[^"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*$)""")
"""A comma that is in no quotes."""


class Writer(Protocol):
    """Encodes users. `fields` are those that it needs of each; none for all."""

    @property
    def fields(self) -> Sequence[str]: ...

    def header(self) -> bytes: ...

    def lines(self, users: Sequence[User]) -> bytes: ...


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A user a line, as `GET /v1/users/{user_id}` returns it, but without the etag: an import has no condition."""

    fields: Sequence[str] = ()

    def header(self) -> bytes:
        return b""

    def lines(self, users: Sequence[User]) -> bytes:
        for user in users:
            user.ClearField("etag")
        return b"".join(orjson.dumps(plain(user), option=orjson.OPT_APPEND_NEWLINE) for user in users)


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    field: str
    path: tuple[str, ...]
    is_json: bool


class Csv:
    """A user a record, below a header with the names of the columns, by which an import knows them again.

    A column is a field, and a type after a colon where it is not a string. Raises CommandFailed for other columns.
    """

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self._columns = [_column(title) for title in columns or ALL_COLUMNS]
        self._needs_metadata = any(column.path[0] == "metadata" for column in self._columns)

    @property
    def fields(self) -> Sequence[str]:
        return [column.field for column in self._columns]

    def header(self) -> bytes:
        return _records([[column.title for column in self._columns]])

    def lines(self, users: Sequence[User]) -> bytes:
        return _records([self._cells(user) for user in users])

    def _cells(self, user: User) -> list[str]:
        value = plain(user)
        if self._needs_metadata and "metadata" in value:
            value["metadata"] = orjson.loads(user.metadata_json)
        return [_cell(_at(value, column.path), column.is_json) for column in self._columns]


def split_fields(text: str) -> list[str]:
    """The fields in a list with commas."""
    return [each.strip() for each in _COMMA.split(text) if each.strip()]


def _column(title: str) -> _Column:
    match = re.fullmatch(r"(.*?)(?::([a-z]+))?", title, re.DOTALL)
    field, kind = (match[1], match[2]) if match else (title, None)
    try:
        paths = parse_paths(field, "fields")
    except InvalidRequest as error:
        raise CommandFailed(f"--fields {title}: {error.violations[0].description}", ExitStatus.USAGE) from None
    if len(paths) != 1 or (kind is not None and kind not in TYPES):
        raise CommandFailed(f"--fields {title}: the types are {', '.join(TYPES)}", ExitStatus.USAGE)
    return _Column(title, field, tuple(paths[0].path), kind == "json")


def _at(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _cell(value: Any, is_json: bool) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) and not is_json else orjson.dumps(value).decode()


def _records(records: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(records)
    return text.getvalue().encode()
