"""What an import reads, from the options of the command: the rows of a file, and the updates in them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.failures import CommandFailed, ExitStatus
from cli.importing.batches import Reader
from cli.importing.columns import Others, columns_of
from cli.importing.readers import CsvReader, JsonArrayReader, JsonLinesReader
from cli.importing.refused import Encode, as_csv, as_json_line, csv_header
from cli.importing.source import STDIN, Format, Source
from cli.importing.updates import UpdateReader

_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command. `mapping` has fields by the names of columns."""

    name: str
    format: Format | None = None
    mapping: Mapping[str, str] | None = None
    id_column: str | None = None
    others: Others = Others.REFUSE
    delimiter: str | None = None
    state: Path | None = None
    refused: Path | None = None

    @property
    def state_path(self) -> Path | None:
        """Where the state is kept. That of stdin is kept only where the user names a file."""
        if self.state is not None or self.name == STDIN:
            return self.state
        return Path(f"{self.name}.import-state")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is read: its rows, their updates, what makes another reading of it, and the file of refused rows."""

    reader: Reader
    updates: UpdateReader
    meaning: Sequence[str]
    refused_path: Path
    encode_refused: Encode
    refused_header: bytes


def plan_of(options: Options, source: Source) -> Plan:
    """The plan for an open file. Raises CommandFailed for options that do not fit the file."""
    found = options.format or source.format()
    if found is not Format.CSV and (options.mapping or options.id_column or options.delimiter):
        raise CommandFailed("--map, --id and --delimiter are for CSV, and the file is JSON", ExitStatus.USAGE)
    if found is Format.CSV:
        return _csv_plan(options, source.stream)
    reader = JsonArrayReader(source.stream) if found is Format.JSON else JsonLinesReader(source.stream)
    return Plan(reader, UpdateReader(), [found], _refused_path(options, ".jsonl"), as_json_line, b"")


def _csv_plan(options: Options, stream: "io.BufferedReader[Any]") -> Plan:
    reader = CsvReader(stream, options.delimiter)
    columns = columns_of(reader.header, options.mapping or {}, options.others, options.id_column)
    return Plan(
        reader,
        UpdateReader(columns),
        [Format.CSV, reader.delimiter, *columns.described],
        _refused_path(options, ".csv"),
        as_csv(reader.delimiter),
        csv_header(reader.header, reader.delimiter),
    )


def _refused_path(options: Options, suffix: str) -> Path:
    """Where refused rows are written: beside the file, unless the user names a place."""
    if options.refused is not None:
        return options.refused
    path = Path("stdin" if options.name == STDIN else options.name)
    name = path.name.removesuffix(".gz")
    for known in _SUFFIXES:
        name = name.removesuffix(known)
    return path.with_name(f"{name}.refused{suffix}")
