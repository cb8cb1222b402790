"""The inputs of the corpus, and random ones, keep the promises of `tests/fuzz/targets.py`."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, decode, read
from tests.support.strategies import UPDATES, UPDATES_WITH_OPERATIONS

_CORPUS = Path(__file__).parent / "corpus"

_NEARLY_JSON = st.text(alphabet='{}[]",:0123456789.eE-+\\u dtrfalsn\ufeff\0é', max_size=40).map(str.encode)


def _replay(name: str) -> None:
    files = sorted((_CORPUS / name).iterdir())
    assert files
    for file in files:
        try:
            TARGETS[name](file.read_bytes())
        except Exception as error:
            error.add_note(f"of {file}")
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_promise(name: str) -> None:
    _replay(name)


@pytest.mark.parametrize(
    ("name", "function", "wrong"),
    [
        ("plan", "server.users.metadata.tree.escape_key", lambda key: key),
        ("plan", "server.users.metadata.flat.escape_key", lambda key: key),
        ("plan", "server.users.metadata.tree.stored_number", lambda _: 0),
        ("choose", "server.query.fields.escape_key", lambda key: key),
        ("decode", "gateway.transcoding.exact_integers._exact", float),
        ("http", "gateway.calls.batch_response.Outcome.answer", lambda _: 1 / 0),
        ("http", "gateway.routing.http_rules.unquote_to_bytes", lambda _: 1 / 0),
    ],
    ids=["keys", "usual keys", "numbers", "filters", "integers", "batches", "paths"],
)
def test_the_corpus_finds_a_broken_promise(
    monkeypatch: pytest.MonkeyPatch, name: str, function: str, wrong: Any
) -> None:
    monkeypatch.setattr(function, wrong)
    with pytest.raises((AssertionError, ValueError)):
        _replay(name)


@settings(max_examples=300)
@given(st.binary(max_size=64) | _NEARLY_JSON)
def test_any_bytes_are_parsed_as_python_parses_them(text: bytes) -> None:
    read(text)


@settings(max_examples=60)
@given(st.lists(UPDATES | UPDATES_WITH_OPERATIONS, max_size=3))
def test_updates_are_decoded_and_planned_as_sent(updates: list[dict[str, Any]]) -> None:
    for sent in (updates, *updates):
        decode(b"\0" + orjson.dumps(sent))
