"""Filters on a real MongoDB find the users that a naive implementation chooses."""

import itertools
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.local.mongod import EmbeddedMongod
from server.merge.field_names import unescape_object
from server.merge.paths import field_path
from server.model import STORED, Profile, UserUpdate
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.writes.profiles import MongoProfileStore
from server.query.conditions import ProfileQuery
from server.query.field_mask import WHOLE
from server.query.fields import CAMPAIGNS
from server.query.grammar import ANYTHING, And, Comparison, Filter, Literal, Not, Or, parse_filter
from server.users.filter_conditions import profiles_matching
from server.users.list_users import Listing
from server.users.update import plan_update
from tests.support.expected_filter_result import matches

pytestmark = [pytest.mark.long, pytest.mark.unmeasured]

_NOW = 1_767_323_045_678_000_000

# Few values, so that filters match stored ones. Each is a special case of MongoDB.
_FEW: st.SearchStrategy[Any] = st.sampled_from(["x", "y", 1, 2.5, True])
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *("", "1", "true", "$ne", "é", "😀", "a*", "\\*", "\n\0", 0, 1.0, -1, 2**53, 1e300, -0.0, False),
        *(2**53 + 1, str(2**53 + 1), -(2**70) - 1, 2**53 + 2),
    ]
)
_SCALARS = _FEW | _FEW | _ODD
_ITEMS = _SCALARS | st.none()
_LISTS: st.SearchStrategy[Any] = st.lists(_ITEMS, max_size=2)
_LEAVES = _SCALARS | _LISTS | st.lists(_LISTS, max_size=2)
_KEYS = st.sampled_from("ab")
_ODD_KEYS = st.sampled_from(["a.b", "$ne", "0", "", "$where", "a b", "*", '"\\', "\n\0"])


def _object(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(_KEYS, values, min_size=1, max_size=2) | st.dictionaries(_ODD_KEYS, values, max_size=1)


_INNER = _LEAVES | _object(_LEAVES | _object(_LEAVES)) | st.lists(_object(_ITEMS | _LISTS) | _ITEMS, max_size=2)
_METADATA = _object(_INNER | _object(_INNER))
_TEXTS = st.sampled_from(["", "x", "y", "$ne", "é", "1.2.3.4", "acme.com", "Firefox"])
_TIMES = [
    *("1970-01-01T00:00:00.000000000Z", "2026-01-02T03:04:05.678000000Z", "2026-01-02T03:04:05.678000001Z"),
    *("2026-01-02T03:04:05.677999999Z", "2026-01-02T03:04:05.679000000Z"),
]
_CAMPAIGNS = st.dictionaries(st.sampled_from(["utm_source", "gclid"]), _TEXTS, max_size=2)
_UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "company_id": _TEXTS,
        "anonymous_id": _TEXTS,
        "modified_time": st.sampled_from([0, _NOW, _NOW + 1, _NOW - 1, _NOW + 1_000_000]),
        "ip_address": st.sampled_from(["1.2.3.4", "x"]),
        "client_address": st.sampled_from(["1.2.3.4", "5.6.7.8"]),
        "session_token": st.sampled_from("tuv"),
        "user_agent_string": st.just("Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko Firefox/121.0"),
        "metadata": st.just({"email": "john@acme.com"}) | _METADATA | _METADATA,
        "campaign": _CAMPAIGNS,
    },
)
_USERS = st.lists(st.tuples(st.sampled_from(["x", "y", "$ne", "é", *"abcdefgh"]), _UPDATES), min_size=8, max_size=16)

_OPERATORS = ["=", "!=", ":", "<", "<=", ">", ">="]
_EQUAL = ["=", "!=", ":"]


def _comparisons(paths: st.SearchStrategy[Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Comparison]:
    nothing = st.builds(Comparison, paths, st.sampled_from(_EQUAL), st.none())
    anything = st.builds(Comparison, paths, st.just(":"), st.just(ANYTHING))
    return st.builds(Comparison, paths, st.sampled_from(_OPERATORS), values) | nothing | anything


_METADATA_PATHS = st.lists(_KEYS | _KEYS | _ODD_KEYS, min_size=1, max_size=3).map(lambda keys: ("metadata", *keys))
_TEXT_PATHS = st.sampled_from(
    [
        *(("user_id",), ("company_id",), ("anonymous_id",), ("ip_address",), ("observed_ip_address",)),
        *(("email_domain",), ("company_domain",)),
        *(("campaign", "utm_source"), ("initial_campaign", "utm_source"), ("initial_campaign", "gclid")),
        *(("latest_campaign", "utm_source"), ("latest_campaign", "gclid")),
        *(("avatar_url",), ("user_agent", "browser", "name"), ("user_agent", "os", "version")),
    ]
)
_ORDERED = _SCALARS.filter(lambda value: not isinstance(value, bool))
_TIME_PATHS: list[tuple[str, ...]] = [("created_time",), ("modified_time",), ("stored_time",)]
_TIME_PATHS += [("initial_campaign_time",), ("latest_campaign_time",)]
_COMPARISONS: st.SearchStrategy[Filter] = (
    _comparisons(_METADATA_PATHS, _ORDERED)
    | _comparisons(_METADATA_PATHS, _ORDERED)
    | st.builds(Comparison, _METADATA_PATHS, st.sampled_from(_EQUAL), st.booleans())
    | _comparisons(_TEXT_PATHS, _TEXTS)
    | _comparisons(st.sampled_from(_TIME_PATHS), st.sampled_from(_TIMES))
    | _comparisons(st.just(("alias_count",)), st.sampled_from([0, 1, 2, 1.5]))
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    _COMPARISONS,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


def text_of(tree: Filter) -> str:
    """A filter as a caller writes it."""
    if isinstance(tree, Not):
        return f"NOT ({text_of(tree.operand)})"
    if isinstance(tree, And | Or):
        word = " AND " if isinstance(tree, And) else " OR "
        return word.join(f"({text_of(operand)})" for operand in tree.operands)
    return f"{field_path(tree.path)} {tree.operator} {_literal(tree.value)}"


def _literal(value: Literal) -> str:
    if value is ANYTHING:
        return "*"
    return json.dumps(value).replace("*", "\\*")


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_query_test")
    await prepare(database)
    yield database
    client.close()


_numbers = itertools.count()


async def _check(opened: Database, updates: Iterable[UserUpdate], trees: Iterable[Filter]) -> None:
    """Store users, and check which users each filter finds and counts."""
    application = f"app{next(_numbers)}"
    # No user becomes of this one.
    visitor = UserUpdate(anonymous_id="of nobody", company_id="x", metadata={"a": "x"})
    erased = {"_id": f"{application}/u/erased", "suppressed_until": 0}
    await opened.get_collection("profiles").insert_one(erased)
    writes = [plan_update(application, update, _NOW).write for update in [*updates, visitor]]
    assert set(await MongoProfileStore(opened).apply(writes)) == {STORED}
    queries = MongoProfileQueries(opened)
    everybody = await _listed(queries, profiles_matching(application, None))
    assert {profile.user_id for profile in everybody} == {write.on_insert.get("user_id") for write in writes[:-1]}
    for tree in trees:
        text = text_of(tree)
        query = profiles_matching(application, parse_filter(text))
        found = await _listed(queries, query)
        chosen = [profile.user_id for profile in everybody if matches(profile, tree)]
        assert [profile.user_id for profile in found] == chosen, text
        assert await queries.count(query) == len(chosen)


async def _listed(queries: MongoProfileQueries, query: ProfileQuery) -> list[Profile]:
    listing = Listing(query, ("user_id",), descending=False, limit=1000, mask=WHOLE)
    fetched, _ = await queries.list_users(listing)
    profiles = [each.profile() for each in fetched]
    return [replace(profile, metadata=unescape_object(profile.metadata or {})) for profile in profiles]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(users=_USERS, trees=st.lists(FILTERS, min_size=5, max_size=10))
async def test_random_filters_choose_among_random_users(
    opened: Database, users: list[tuple[str, Any]], trees: list[Filter]
) -> None:
    await _check(opened, [UserUpdate(user_id=user_id, **fields) for user_id, fields in users], trees)


_LEAVES_OF_ALL_KINDS: list[Any] = [
    "",
    "x",
    "xy",
    "y",
    "1",
    "true",
    "$ne",
    0,
    1,
    2.5,
    -1,
    -0.0,
    2**53,
    2**53 + 1,
    -(2**70) - 1,
    10**309,
    1e300,
    True,
    False,
]
_LISTS_OF_ALL_KINDS: list[Any] = [
    [],
    ["x"],
    [1, "y"],
    [None],
    [["x"]],
    [True, None],
    [{}],
    [{"b": "x"}],
    [{"b": ["x"]}],
    [2**53 + 1, 1],
]
_DEEPER: list[Any] = [
    {"b": value} for value in [*_LEAVES_OF_ALL_KINDS, *_LISTS_OF_ALL_KINDS, {}, {"a": "x"}, {"a": [1]}]
]
_IN_LISTS: list[Any] = [
    [{"b": {"a": "x"}}],
    {"b": [{"a": "x"}]},
    {"b": [{"a": ["x"]}]},
    [[{"b": "x"}]],
    [{"b": 1}, "x"],
]
_SHAPES = [*_LEAVES_OF_ALL_KINDS, *_LISTS_OF_ALL_KINDS, *_DEEPER, *_IN_LISTS, {}]


async def test_every_comparison_of_metadata_chooses_among_all_shapes(opened: Database) -> None:
    paths = [("metadata", "a"), ("metadata", "a", "b"), ("metadata", "a", "b", "a"), ("metadata", "b")]
    values: list[Literal] = ["", "x", "y", "1", 0, 1, 2.5, 2**53, True, False, None, ANYTHING]
    values += [2**53 + 1, str(2**53 + 1), -(2**70) - 1, 10**309, -(10**309)]
    trees: list[Filter] = [
        Comparison(path, operator, value)
        for path in paths
        for value in values
        for operator in ([":"] if value is ANYTHING else _EQUAL if isinstance(value, bool | None) else _OPERATORS)
    ]
    updates = [UserUpdate(user_id=f"u{index}", metadata={"a": shape}) for index, shape in enumerate(_SHAPES)]
    await _check(opened, [*updates, UserUpdate(user_id="nothing")], trees)


async def test_every_comparison_of_the_other_fields_chooses_among_all_users(opened: Database) -> None:
    browser = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko Firefox/121.0"
    updates = [
        UserUpdate(user_id="x", client_address="1.2.3.4", company_id="y"),
        UserUpdate(user_id="x", ip_address="x"),
        UserUpdate(user_id="y", client_address="1.2.3.4", session_token="t", campaign={"utm_source": "x"}),
        UserUpdate(user_id="y", session_token="u", campaign={"utm_source": "y", "gclid": ""}, anonymous_id="x"),
        UserUpdate(user_id="z", metadata={"email": "john@acme.com"}, company_id="x", user_agent_string=browser),
        *(UserUpdate(user_id=f"t{time}", modified_time=_NOW + time) for time in (-1, 0, 1, 1_000_000, -_NOW)),
    ]
    names = ["user_id", "company_id", "anonymous_id", "ip_address", "observed_ip_address", "email_domain"]
    names += ["company_domain", "avatar_url"]
    texts: list[tuple[str, ...]] = [(name,) for name in names]
    texts += [(campaign, name) for campaign in CAMPAIGNS for name in ("utm_source", "gclid")]
    texts += [("user_agent", "browser", "name"), ("user_agent", "os", "version")]
    extremes: list[Literal] = [None, ANYTHING]
    chosen_by: list[tuple[list[tuple[str, ...]], list[Literal]]] = [
        (texts, ["", "x", "y", "1.2.3.4", "acme.com", "Firefox", *extremes]),
        (_TIME_PATHS, [*_TIMES, *extremes]),
        ([("alias_count",)], [0, 1, 1.5, 2, *extremes]),
    ]
    trees = [
        Comparison(path, operator, value)
        for paths, values in chosen_by
        for path in paths
        for value in values
        for operator in ([":"] if value is ANYTHING else _EQUAL if value is None else _OPERATORS)
    ]
    await _check(opened, updates, trees)
