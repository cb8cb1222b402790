"""The comparison of what an example prints with what a page shows: it can fail."""

import pytest

from tests.docs.conversation import same
from tests.docs.markdown import Block


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ('{"a": 1, "b": [true, null]}', '{"b": [true, null], "a": 1}'),
        ('{"a": 1, "b": 2}', '{"a": 1, "…": "…"}'),
        ('{"users": [{"a": 1, "b": 2}]}', '{"users": [{"a": 1, "…": "…"}]}'),
        ('{"at": "2026-11-29T02:05:46.103Z"}', '{"at": "2026-01-01T00:00:00Z"}'),
        ('{"day": "2026-11-29"}', '{"day": "2026-01-01"}'),
        (f'{{"digest": "{"a" * 64}"}}', f'{{"digest": "{"0" * 64}"}}'),
    ],
)
def test_the_same_and_what_varies_is_as_shown(printed: str, shown: str) -> None:
    assert same(printed, Block("json", shown, 1))


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1, "b": 2}', '{"a": 1}'),
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{"b": 2}', '{"a": 1, "…": "…"}'),
        ('{"a": true}', '{"a": 1}'),
        ("[1, 2]", "[1]"),
        ("[]", "{}"),
        ('{"at": "yesterday"}', '{"at": "2026-01-01T00:00:00Z"}'),
    ],
)
def test_anything_else_is_not(printed: str, shown: str) -> None:
    assert not same(printed, Block("json", shown, 1))


def test_text_is_compared_whole() -> None:
    assert same("NOT_FOUND\n", Block("text", "NOT_FOUND\n", 1))
    assert not same("NOT_FOUND\nUSER_NOT_FOUND\n", Block("text", "NOT_FOUND\n", 1))
