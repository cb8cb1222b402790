"""The grammar of filters, as trees."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from userfold.v1.campaign_pb2 import Campaign
from userfold.v1.user_pb2 import User

from gateway.errors import violations
from server.errors import InvalidRequest
from server.merge.paths import field_path
from server.model import ReportRequest
from server.query.field_mask import WHOLE
from server.query.fields import CAMPAIGN_FIELDS, CAMPAIGNS, field_at
from server.query.grammar import ANYTHING, And, Comparison, Filter, Not, Or, parse_filter, parse_paths
from server.users.report_campaigns import plan_report


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
        ("a='\\*'", ("a", "=", "*")),
        ('a="2 \\* 3 = 6"', ("a", "=", "2 * 3 = 6")),
        ('a:"\\*"', ("a", ":", "*")),
        ("(a:*)", ("a", ":", ANYTHING)),
        ('metadata."*" = 1', ("metadata.*", "=", 1)),
        (r"""a="\b\f\n\r\t\/\u00e9\u0000\ud83d\uDE00\\u0041" """, ("a", "=", "\b\f\n\r\t/é\0😀\\u0041")),
        ("""metadata["a.b"]['$set'].x=1""", ("metadata.a.b.$set.x", "=", 1)),
        ("""metadata . x [ "]" ] = 1""", ("metadata.x.]", "=", 1)),
        ('campaign["gclid"]:*', ("campaign.gclid", ":", ANYTHING)),
        ("a=[x]", ("a", "=", "[x]")),
        (f"a={'9' * 400}", ("a", "=", 10**400 - 1)),
    ],
)
def test_a_filter_is_parsed_into_a_tree(text: str, tree: Any) -> None:
    if text.startswith("NOT."):
        with pytest.raises(InvalidRequest):
            parse_filter(text)
    else:
        assert _plain(parse_filter(text)) == tree


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a=*", 3),
        ("a != *", 6),
        ("a = acme*", 9),
        ("a:*.com", 3),
        ("a:**", 3),
        (r"a = \*", 6),
        ('a:"*"', 4),
        ("a = 'acme*'", 10),
        (r'a = "\* \\* x"', 11),
        (r'b=1 a="\u002a*"', 14),
        ("a = AND*", 8),
    ],
)
def test_a_wildcard_is_refused_with_its_column(text: str, column: int) -> None:
    description = (
        f"column {column}: * is a wildcard in AIP-160, which is not supported: write \\* in quotes for an asterisk"
    )
    assert _refused(text) == [("filter", "INVALID_FILTER", description)]


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("metadata[2] = 1", "column 10: expected a string in quotes"),
        ("metadata[a] = 1", "column 10: expected a string in quotes"),
        ('metadata["a" = 1', "column 14: expected ]"),
        ('metadata.["a"] = 1', "column 10: expected a key or a string in quotes"),
        ('["metadata"].a = 1', "column 1: expected a field, NOT, -, ( or the end"),
        (r'a="\x"', "column 3: expected a string in quotes or a value"),
        (r'a="\ud83d"', "column 3: expected a string in quotes or a value"),
        (r'a="\uDE00\ud83d"', "column 3: expected a string in quotes or a value"),
        ("a=1e999", "column 3: expected a number that a double can hold"),
    ],
)
def test_an_invalid_filter_is_refused_with_a_column(text: str, description: str) -> None:
    assert _refused(text) == [("filter", "INVALID_FILTER", description)]


def _refused(text: str) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        parse_filter(text)
    for each in refused.value.violations:
        described = re.match(r"column (\d+): ", each.description)
        assert each.column == (int(described[1]) if described else None)
    return [(each.field, each.reason, each.description) for each in refused.value.violations]


_KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["a.b", "$set", '"', "\\", "'", "\\u0041", "*", "]", "\0", "\x1f\x7f", "\u2028", "😀", "", "NOT", "0", "-a"]
)


@given(st.lists(_KEYS, min_size=1, max_size=4))
def test_a_path_of_a_response_is_parsed_as_that_path(keys: list[str]) -> None:
    path = ("metadata", *keys)
    printed = field_path(path)
    assert violations.field_path(path) == printed
    for text in (printed, ".".join([path[0], *map(json.dumps, keys)])):
        tree = parse_filter(f"{text}:*")
        assert isinstance(tree, Comparison)
        assert tree.path == path
        assert [each.path for each in parse_paths(f"user_id,{text}", "fields")] == [("user_id",), path]


def test_a_report_accepts_paths_of_responses() -> None:
    asked = [
        ReportRequest(group_by=["campaign.gclid"], value_path='metadata."a.b".x'),
        ReportRequest(group_by=["campaign['gclid']"], value_path='metadata["a.b"]["x"]'),
    ]
    assert plan_report("app", asked[0]) == plan_report("app", asked[1])


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_a_json_string_is_parsed_as_that_string(value: str) -> None:
    for quoted in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        escaped = quoted.replace("*", "\\*")
        assert _plain(parse_filter(f"a = {escaped}")) == ("a", "=", value)


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


def test_the_fields_are_those_of_the_contract() -> None:
    assert [field.name for field in Campaign.DESCRIPTOR.fields] == list(CAMPAIGN_FIELDS)
    # Not set yet, and the metadata in its other form.
    names = {field.name for field in User.DESCRIPTOR.fields} - {"etag", "metadata_json"}
    assert {path[0] for path in WHOLE.paths} == names
    unlisted = {name for name in names if field_at([name]) is None}
    lists = {"anonymous_ids", "merged_user_ids"}
    assert unlisted == lists | {"metadata", *CAMPAIGNS, "user_agent", "user_agent_string"}
    stored = ["application_id", "aliases", "modified_nanos", "suppressed_until", "_id"]
    assert not any(field_at([name]) for name in stored)


def test_a_text_that_exceeds_a_limit_is_not_parsed_further() -> None:
    # The end of the text is not among the expected terminals.
    with pytest.raises(InvalidRequest) as refused:
        parse_filter("a=1 " * 1000 + "and no filter (((")
    assert [each.reason for each in refused.value.violations] == ["TOO_MANY_COMPARISONS"]
    with pytest.raises(InvalidRequest) as refused:
        parse_paths("a," * 2000, "fields")
    assert [each.reason for each in refused.value.violations] == ["TOO_MANY"]
