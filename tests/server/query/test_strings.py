"""The end of a range of strings with a common beginning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.strings import end_of_prefix

# Where the order of code points has its edges.
_EDGES = "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010fffe\U0010ffff"
_TEXTS = st.text(st.sampled_from(_EDGES + "az$.*") | st.characters(exclude_categories=["Cs"]), max_size=4)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("jo", "jp"),
        ("jo\0", "jo\1"),
        ("a\x7f", "a\x80"),
        ("a\ud7ff", "a\ue000"),
        ("a\uffff", "a\U00010000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff\U0010ffff", None),
    ],
)
def test_the_end_is_the_next_string_without_the_prefix(prefix: str, end: str | None) -> None:
    assert end_of_prefix(prefix) == end


@given(_TEXTS.filter(bool), _TEXTS, _TEXTS)
def test_strings_from_a_prefix_to_its_end_are_those_that_begin_with_it(prefix: str, rest: str, other: str) -> None:
    end = end_of_prefix(prefix)
    for text in (prefix, prefix + rest, rest, other, prefix[:-1] + other):
        is_within = prefix.encode() <= text.encode() and (end is None or text.encode() < end.encode())
        assert is_within == text.startswith(prefix)
