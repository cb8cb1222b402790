"""Which columns of a CSV file become which fields of an update."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from userfold.v1.user_pb2 import UserUpdate

from cli.failures import CommandFailed, ExitStatus
from cli.importing.cells import TYPES, NotReadable, Read
from cli.importing.rows import FieldRefusal, Refusal
from gateway.errors.violations import field_path
from gateway.transcoding.json_decoder import MOVED
from server.errors import InvalidRequest
from server.query.fields import CAMPAIGN_FIELDS
from server.query.grammar import parse_paths

REFUSED: Final = ("refused_row", "refused_reason", "refused_field", "refused_message")
"""The columns that the file of refused rows has before its others. They are ignored when it is imported."""

_IDS: Final = ("user_id", "anonymous_id")
_FIELDS: Final = frozenset(UserUpdate.DESCRIPTOR.fields_by_name) - {"metadata_json", "etag"}
_OBJECTS: Final = ("metadata", "campaign", "initial_campaign", "latest_campaign")
"""Fields that a column may hold whole, as JSON. `initial_campaign` is in exports."""

_OF_EXPORTS: Final = ("initial_campaign_time", "observed_ip_address")
"""Other columns of exports that an import takes. An `ip_address` that equals the observed one was never sent."""

_LISTS: Final = ("clear_fields", "metadata_operations")
"""Fields that a column holds as JSON, whatever is said of it."""

_DERIVED: Final = frozenset(
    {"created_time", "stored_time", "alias_count", "avatar_url", "email_domain", "company_domain", "user_agent"}
)
"""Fields of users that are read, which no update has. Columns with these names are ignored."""

_LISTED: Final = 5

Path: TypeAlias = tuple[str, ...]


class Others(StrEnum):
    """What becomes of columns that no mapping names and whose names are no fields."""

    REFUSE = "refuse"
    IGNORE = "ignore"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Column:
    """A column whose cells become the field at a path."""

    index: int
    path: Path
    read: Read
    kind: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that are imported. `described` is what they mean, for the state of an import."""

    columns: tuple[Column, ...]

    @property
    def described(self) -> Sequence[str]:
        return [f"{column.index}={field_path(column.path)}:{column.kind}" for column in self.columns]

    def object(self, cells: Sequence[str]) -> dict[str, Any] | Refusal:
        """The update in the cells of a row, as JSON would have it. An empty cell is an absent field."""
        update: dict[str, Any] = {}
        refused: list[FieldRefusal] = []
        for column in self.columns:
            cell = cells[column.index]
            if not cell:
                continue
            try:
                value = column.read(cell)
            except NotReadable as error:
                refused.append(FieldRefusal(field_path(column.path), error.reason, error.description))
                continue
            inner = update
            for key in column.path[:-1]:
                inner = inner.setdefault(key, {})
            inner[column.path[-1]] = value
        return Refusal.of_fields(refused) if refused else update


def columns_of(
    header: Sequence[str], mapping: Mapping[str, str], others: Others = Others.REFUSE, id_column: str | None = None
) -> Columns:
    """The columns of a header. `mapping` has fields such as `metadata.plan:number` by the names of columns; an empty
    one means that the column is ignored.

    Raises CommandFailed for names and fields that cannot be used.
    """
    names = [name.strip() for name in header]
    chosen = dict(mapping)
    if id_column is not None:
        chosen[id_column] = "user_id"
    _refuse(chosen.keys() - set(names), "no column has the name")
    _refuse(
        (name for name, count in Counter(filter(None, names)).items() if count > 1), "several columns have the name"
    )
    columns: list[Column] = []
    unknown: list[str] = []
    for index, name in enumerate(names):
        if name in chosen:
            found = _field(chosen[name], name) if chosen[name] else None
        elif not name or name in REFUSED:
            continue
        elif (known := _known(name)) is not None:
            found = known if known[0] else None
        elif others is Others.METADATA:
            found = ("metadata", name), "string"
        else:
            unknown.append(name)
            continue
        if found is not None:
            columns.append(Column(index, found[0], TYPES[found[1]], found[1]))
    if unknown and others is Others.REFUSE:
        _refuse(
            unknown,
            "columns that are no fields: map them (--map 'COLUMN=metadata.name'), or choose --others metadata or"
            " --others ignore:",
        )
    _require_one_meaning([column.path for column in columns])
    if not any(column.path == (name,) for column in columns for name in _IDS):
        raise _unusable("no column is the user_id: name it, as in --id COLUMN")
    return Columns(tuple(columns))


def _known(name: str) -> tuple[Path, str] | None:
    """The field that the name of a column names, with its type; an empty path for one that no update has."""
    text, _, kind = name.partition(":")
    plain = re.sub(r"[ -]", "_", text.strip()).lower()
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", text.strip()).lower()
    for spelling in (plain, snake):
        if spelling in MOVED:
            return ("metadata", spelling), _kind(kind, "string", name)
        if spelling in _FIELDS and spelling not in _OBJECTS:
            return (spelling,), _kind(kind, "json" if spelling in _LISTS else "string", name)
    if plain in _OBJECTS:
        return _field(f"{plain}:{kind}" if kind else plain, name)
    if plain in _OF_EXPORTS:
        return (plain,), "string"
    if plain.partition(".")[0] in _DERIVED:
        return (), ""
    if plain.startswith(("metadata.", "metadata[", "campaign.", "latest_campaign.")):
        return _field(name, name)
    return None


def _field(text: str, column: str) -> tuple[Path, str]:
    """The path and the type in a field such as `metadata.plan:number`."""
    match = re.fullmatch(r"(.*?)(?::([a-z]+))?", text.strip(), re.DOTALL)
    written, kind = (match[1], match[2]) if match else (text, None)
    try:
        paths = parse_paths(written, "fields")
    except InvalidRequest:
        paths = ()
    path = paths[0].path if len(paths) == 1 else ("",)
    if path in [(name,) for name in _OBJECTS]:
        if kind != "json":
            raise _unusable(f"the column {column!r}: {path[0]} is an object: {path[0]}:json, or a field in it")
        return path, kind
    is_field = (
        (len(path) == 1 and path[0] in _FIELDS)
        or (path[0] == "metadata" and len(path) > 1)
        or (path[0] in ("campaign", "latest_campaign") and len(path) == 2 and path[1] in CAMPAIGN_FIELDS)
    )
    if not is_field:
        raise _unusable(
            f"the column {column!r}: {written!r} is no field of an update: it takes one such as company_id,"
            ' campaign.utm_source, metadata.plan or metadata."Job title"'
        )
    return path, _kind(kind, "json" if path[0] in _LISTS else "string", column)


def _kind(kind: str | None, default: str, column: str) -> str:
    if not kind:
        return default
    if kind not in TYPES:
        raise _unusable(f"the column {column!r}: {kind!r} is none of the types {', '.join(TYPES)}")
    return kind


def _require_one_meaning(paths: Sequence[Path]) -> None:
    """Refuse two columns of one field, or of a field and one inside it."""
    seen = set(paths)
    inside = [path for path in paths if any(path[:length] in seen for length in range(1, len(path)))]
    _refuse((field_path(path) for path, count in Counter(paths).items() if count > 1), "several columns are the field")
    _refuse(map(field_path, inside), "another column holds the whole object of the field")


def _refuse(names: Iterable[str], problem: str) -> None:
    found = sorted(names)
    if found:
        listed = ", ".join(found[:_LISTED]) + (f" and {len(found) - _LISTED} more" if len(found) > _LISTED else "")
        raise _unusable(f"{problem} {listed}")


def _unusable(message: str) -> CommandFailed:
    return CommandFailed(message, ExitStatus.USAGE)
