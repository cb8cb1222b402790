"""The grammar of filters, as trees."""

from typing import Any

import pytest
from userfold.v1.campaign_pb2 import Campaign
from userfold.v1.user_pb2 import User

from server.errors import InvalidRequest
from server.fields import CAMPAIGN_FIELDS, field_at
from server.filter import ANYTHING, And, Comparison, Filter, Not, Or, parse_filter, parse_paths
from server.mask import WHOLE
from server.times import nanoseconds_from_text


def _plain(tree: Filter | None) -> Any:
    """A tree without its columns."""
    if isinstance(tree, Comparison):
        return (".".join(tree.path), tree.operator, tree.value)
    if isinstance(tree, Not):
        return ("NOT", _plain(tree.operand))
    if isinstance(tree, And | Or):
        return (type(tree).__name__, *map(_plain, tree.operands))
    return tree


_A, _B, _C = (("a", "=", 1), ("b", "=", 1), ("c", "=", 1))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (" \n", None),
        ("a=1 AND b=1 OR c=1", ("And", _A, ("Or", _B, _C))),
        ("a=1 OR b=1 c=1", ("And", ("Or", _A, _B), _C)),
        ("a=1 (b=1 AND c=1)", ("And", _A, _B, _C)),
        ("a=1 OR (b=1 OR c=1)", ("Or", _A, _B, _C)),
        ("NOT a=1 OR b=1", ("Or", ("NOT", _A), _B)),
        ("-a=1 -b=1", ("And", ("NOT", _A), ("NOT", _B))),
        ("-(NOT (a=1))", _A),
        ("a:*", ("a", ":", ANYTHING)),
        ("NOT.AND != ORDER", None),
        ("a.NOT.AND.OR != ORDER", ("a.NOT.AND.OR", "!=", "ORDER")),
        ("a=-1.5e3", ("a", "=", -1500)),
        ("a=1.0", ("a", "=", 1)),
        ("a=007", ("a", "=", "007")),
        ("a=TRUE b=true c=null", ("And", ("a", "=", "TRUE"), ("b", "=", True), ("c", "=", None))),
        ("a=2001:db8::1", ("a", "=", "2001:db8::1")),
        ('a="\\"\\\\\'"', ("a", "=", "\"\\'")),
        ("a='\"' b=\"'\"", ("And", ("a", "=", '"'), ("b", "=", "'"))),
        ('a=""', ("a", "=", "")),
        ("a='null'", ("a", "=", "null")),
    ],
)
def test_a_filter_is_read_into_a_tree(text: str, tree: Any) -> None:
    if text.startswith("NOT."):
        with pytest.raises(InvalidRequest):
            parse_filter(text)
    else:
        assert _plain(parse_filter(text)) == tree


def test_the_numbers_of_a_filter_are_those_that_are_stored_but_for_integers_that_no_double_is() -> None:
    values = [parse_filter(f"a={text}") for text in ("1.0", "9007199254740993", "0.5")]
    assert [(type(each.value), each.value) for each in values if isinstance(each, Comparison)] == [
        (int, 1),
        (int, 2**53 + 1),
        (float, 0.5),
    ]


def test_columns_count_from_one() -> None:
    paths = parse_paths(' a , metadata."x.y"', "fields")
    assert [(each.path, each.column) for each in paths] == [(("a",), 2), (("metadata", "x.y"), 6)]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.000000001z", 1_000_000_001),
        ("1970-01-01 01:00:00.5+01:00", 500_000_000),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000_000),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("2026-01-01", None),
        ("2026-01-01T00:00:00", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-01-01T24:00:00Z", None),
        ("2026-01-01T00:00:00.0000000001Z", None),
        ("", None),
    ],
)
def test_times_are_rfc_3339(text: str, nanoseconds: int | None) -> None:
    assert nanoseconds_from_text(text) == nanoseconds


def test_the_fields_are_those_of_the_contract() -> None:
    assert [field.name for field in Campaign.DESCRIPTOR.fields] == list(CAMPAIGN_FIELDS)
    # The metadata once more, as a text.
    names = {field.name for field in User.DESCRIPTOR.fields} - {"metadata_json"}
    assert {path[0] for path in WHOLE.paths} == names
    unlisted = {name for name in names if field_at([name]) is None}
    assert unlisted == {"metadata", "campaign", "initial_campaign", "user_agent", "user_agent_string"}
    stored = ["application_id", "aliases", "modified_nanos", "observed_ip_address", "suppressed_until", "_id"]
    assert not any(field_at([name]) for name in stored)


def test_what_has_too_much_is_read_no_further() -> None:
    # Its end is none of what may be there.
    with pytest.raises(InvalidRequest) as refused:
        parse_filter("a=1 " * 1000 + "and no filter (((")
    assert [each.reason for each in refused.value.violations] == ["TOO_MANY_COMPARISONS"]
    with pytest.raises(InvalidRequest) as refused:
        parse_paths("a," * 2000, "fields")
    assert [each.reason for each in refused.value.violations] == ["TOO_MANY"]
