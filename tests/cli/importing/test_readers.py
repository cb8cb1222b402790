"""Rows of files, in each format."""

import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.failures import CommandFailed
from cli.importing import readers
from cli.importing.array_scanner import ArrayScanner
from cli.importing.readers import CsvReader, JsonArrayReader, JsonLinesReader
from cli.importing.rows import Row
from cli.importing.source import Format, opened

_LIMIT = 40


def _stream(content: bytes) -> "io.BufferedReader[Any]":
    return io.BufferedReader(io.BytesIO(content))


def _until_failure(reader: Iterable[Row]) -> tuple[list[Row], str]:
    """The rows before the failure, and its message."""
    rows: list[Row] = []
    try:
        rows.extend(reader)
    except CommandFailed as failure:
        return rows, str(failure)
    raise AssertionError("no failure")


@pytest.fixture
def small_rows() -> Any:
    with patch.object(readers, "ROW_BYTES", _LIMIT):
        yield


def test_lines_are_rows_with_their_numbers_and_blank_lines_are_none() -> None:
    rows = list(JsonLinesReader(_stream(b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"b":2}')))
    assert [(row.number, row.original, row.refusal) for row in rows] == [(1, b'{"a":1}', None), (4, b'{"b":2}', None)]


@pytest.mark.usefixtures("small_rows")
def test_a_line_that_is_too_long_is_refused_and_the_next_one_is_read() -> None:
    exact = b'"' + b"x" * (_LIMIT - 3) + b'"\n'
    rows = list(JsonLinesReader(_stream(exact + b"y" * 200_000 + b"\n" + b"{}")))
    assert [(row.number, row.refusal and row.refusal.reason) for row in rows] == [
        (1, None),
        (2, "TOO_LARGE"),
        (3, None),
    ]
    assert rows[1].original == b""


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", '"', "\\", '\\"', "[", "]", "{", "}", ",", "é\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(['"', "a", "\\"]), inner, max_size=3),
    max_leaves=10,
)


@given(items=st.lists(_VALUES, max_size=5), size=st.integers(1, 12), indent=st.sampled_from([None, 1]))
def test_the_items_of_an_array_are_found_wherever_its_chunks_are_cut(
    items: list[Any], size: int, indent: int | None
) -> None:
    text = json.dumps(items, indent=indent).encode()
    scanner = ArrayScanner(10_000)
    found: list[bytes | None] = []
    for start in range(0, len(text), size):
        found += scanner.items(text[start : start + size])
    scanner.end()
    assert [json.loads(item or b"") for item in found] == items


def test_an_array_is_read_in_chunks() -> None:
    items = [{"user_id": str(number), "metadata": {"text": "x" * 100}} for number in range(5000)]
    rows = list(JsonArrayReader(_stream(b"\xef\xbb\xbf \n" + json.dumps(items).encode() + b"\n ")))
    assert [json.loads(bytes(row.original)) for row in rows] == items  # type: ignore[arg-type]  # Bytes.
    assert [row.number for row in rows] == list(range(1, 5001))


@pytest.mark.usefixtures("small_rows")
def test_an_item_that_is_too_large_is_refused_and_the_next_one_is_read() -> None:
    rows = list(JsonArrayReader(_stream(b'[{"a":1},["' + b"]" * 200_000 + b'"],2]')))
    assert [row.refusal and row.refusal.reason for row in rows] == [None, "TOO_LARGE", None]
    assert rows[2].original == b"2"


@pytest.mark.parametrize(
    ("text", "found", "error"),
    [
        (b"", 0, "missing"),
        (b"[", 0, "missing"),
        (b"[1,2", 1, "missing"),
        (b'[1,"', 1, "missing"),
        (b"1", 0, "byte 0"),
        (b' "["', 0, "byte 1"),
        (b"[1}", 0, "byte 2"),
        (b"[1] 2", 1, "byte 3"),
        (b"[1][2]", 1, "byte 3"),
    ],
)
def test_what_is_no_array_ends_after_the_items_before(text: bytes, found: int, error: str) -> None:
    rows, failure = _until_failure(JsonArrayReader(_stream(text)))
    assert len(rows) == found
    assert error in failure


def test_records_are_rows_below_the_header() -> None:
    text = '\ufeffid,"a ""b"""\r\n1,"x,\ny"\n\n2,\n3\n4,5,6\n'
    reader = CsvReader(_stream(text.encode()))
    assert (reader.header, reader.delimiter) == (["id", 'a "b"'], ",")
    rows = list(reader)
    assert [(row.number, row.original) for row in rows[:2]] == [(2, ["1", "x,\ny"]), (4, ["2", ""])]
    assert [row.refusal and row.refusal.reason for row in rows] == [None, None, "WRONG_COLUMNS", "WRONG_COLUMNS"]


@pytest.mark.parametrize(("header", "delimiter"), [("a;b,c;d", ";"), ("a\tb", "\t"), ("a", ","), ("a,b", ",")])
def test_the_header_shows_the_delimiter(header: str, delimiter: str) -> None:
    assert CsvReader(_stream(header.encode())).delimiter == delimiter


def test_a_record_that_is_not_utf8_is_refused_and_keeps_its_bytes() -> None:
    first, second = CsvReader(_stream(b"id,name\n1,Ren\xe9\n2,x\n"))
    assert first.refusal is not None
    assert first.refusal.reason == "NOT_UTF8"
    assert "".join(map(str, first.original)).encode(errors="surrogateescape") == b"1Ren\xe9"
    assert second.refusal is None


@pytest.mark.parametrize("text", [b'id\n1\n"2"x\n3\n', b'id\n1\n"2\n3\n'])
def test_a_quotation_mark_in_a_wrong_place_ends_the_rows(text: bytes) -> None:
    rows, failure = _until_failure(CsvReader(_stream(text)))
    assert [row.original for row in rows] == [["1"]]
    assert failure.startswith("row 3: a quotation mark")


@pytest.mark.usefixtures("small_rows")
def test_a_record_without_end_is_not_read_without_limit() -> None:
    stream = _stream(b'id\n"' + b"x\n" * 200_000)
    with pytest.raises(CommandFailed, match="row 2 is longer"):
        list(CsvReader(stream))
    assert stream.tell() < 1000


@pytest.mark.parametrize("text", [b"", b"\n", b"\xff\xfe\n", b",,\n"])
def test_csv_needs_a_header(text: bytes) -> None:
    with pytest.raises(CommandFailed, match="header"):
        CsvReader(_stream(text))


@pytest.mark.parametrize("kind", [JsonLinesReader, JsonArrayReader, CsvReader])
def test_a_changed_row_changes_the_digest_and_a_later_row_does_not(kind: Any) -> None:
    def digests(*rows: bytes) -> list[str]:
        text = b"[" + b",\n".join(rows) + b"]" if kind is JsonArrayReader else b"\n".join([b"id", *rows]) + b"\n"
        reader = kind(_stream(text))
        return [reader.digest.hexdigest() for _ in reader]

    first, second = digests(b'"a"', b'"b"')[-2:]
    assert digests(b'"a"', b'"c"')[-2] == first
    assert digests(b'"a"', b'"c"')[-1] != second
    assert digests(b'"c"', b'"b"')[-1] != second


@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b" [1]", Format.JSON),
        (b'\xef\xbb\xbf{"a":1}', Format.JSON_LINES),
        (b"user_id\n1", Format.CSV),
        (b"", Format.CSV),
    ],
)
def test_the_content_shows_the_format(content: bytes, expected: Format, is_gzip: bool, tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(gzip.compress(content) if is_gzip else content)
    with opened(str(path)) as source:
        assert source.format() is expected
        assert source.size == path.stat().st_size
        assert source.stream.read() == content
        assert source.position == source.size


def test_damaged_gzip_and_utf16_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(gzip.compress(b"x" * 1000)[:15])
    with pytest.raises(CommandFailed, match="gzip"), opened(str(path)) as source:
        source.format()
    path.write_bytes("user_id\n1".encode("utf-16"))
    with pytest.raises(CommandFailed, match="UTF-16"), opened(str(path)) as source:
        source.format()


def test_a_file_is_imported_once_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(b"{}")
    with opened(str(path)), pytest.raises(CommandFailed, match="another import"), opened(str(path)):
        pass
