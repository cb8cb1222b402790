"""Users that match a filter, listed and counted over HTTP and gRPC."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server import limits
from server.errors import InvalidRequest
from server.model import ListRequest
from server.query.page_token import PageTokens
from server.users.count import plan_count
from server.users.ids import profile_id
from server.users.list_users import plan_list
from tests.server.users.test_filter_conditions_property import FILTERS, text_of
from tests.support.applications import Application, register
from tests.support.stack import Api, Stack

_WILDCARD = "* is a wildcard in AIP-160, which is not supported: write \\* in quotes for an asterisk"


def get(api: Api, path: str = "/v1/users", **asked: Any) -> Any:
    return api.client.get(path, params=asked, headers=api.reader)


def listed(api: Api, **asked: Any) -> list[str]:
    """The ids of the users on the first page."""
    answer = get(api, **asked)
    assert answer.status_code == 200, answer.text
    return [user["user_id"] for user in answer.json()["users"]]


def pages(api: Api, **asked: Any) -> Iterator[list[dict[str, Any]]]:
    """The pages, to the last."""
    token = ""
    while True:
        answer = get(api, page_token=token, **asked)
        assert answer.status_code == 200, answer.text
        token = answer.json()["next_page_token"]
        yield answer.json()["users"]
        if not token:
            return


def refused(answer: Any) -> list[tuple[str, str, str]]:
    assert answer.status_code == 400, answer.text
    violations = answer.json()["details"][-1]["field_violations"]
    return [(each["field"], each["reason"], each["description"]) for each in violations]


@pytest.fixture
def three(api: Api) -> Api:
    """An application of three users."""
    api.stored({"company_id": "c", "metadata": {"stage": "Customer", "value": 5}}, user_id="1")
    api.stored({"company_id": "c", "metadata": {"stage": "Lead", "tags": ["a", "b"]}}, user_id="2")
    api.stored({"company_id": "d", "metadata": {"email": "j@acme.com", "a.b": {"$where": 1}}}, user_id="3")
    return api


@pytest.mark.parametrize(
    ("filtered", "users"),
    [
        ("", "123"),
        ("company_id = c", "12"),
        ('company_id = "c" AND metadata.stage = Customer', "1"),
        ("company_id = c metadata.stage = Lead", "2"),
        ("company_id = d OR metadata.stage = Lead AND NOT metadata.tags:a", "3"),
        ("-company_id = c", "3"),
        ("metadata.stage != Customer", "23"),
        ("metadata.value >= 5", "1"),
        ('metadata.value = "5"', ""),
        ("metadata.tags:b", "2"),
        ("metadata.tags:*", "2"),
        ("email_domain = 'acme.com'", "3"),
        ('metadata."a.b"."$where" = 1', "3"),
        ("""metadata["a.b"]['$where'] = 1""", "3"),
        ("metadata.a.b:*", ""),
        ('created_time > "2020-12-31 23:59:60.0000000001 UTC"', "123"),
        ("stored_time > 2020-01-01T00:00:00Z", "123"),
        ("observed_ip_address:*", "123"),
        ("ip_address:*", "123"),
        ('created_time > "2020-01-01T00:00:00+01:00"', "123"),
        ("created_time > 2999-01-01T00:00:00Z", ""),
        ("user_id = 2", "2"),
        ("alias_count = 0", "123"),
    ],
)
def test_a_filter_lists_and_counts_the_users_that_match(three: Api, filtered: str, users: str) -> None:
    if filtered == "user_id = 2":
        (violation,) = refused(get(three, filter=filtered))
        assert violation == ("filter", "INVALID_FILTER", "column 11: expected a string")
        filtered = 'user_id = "2"'
    assert listed(three, filter=filtered) == list(users)
    assert get(three, "/v1/users:count", filter=filtered).json() == {"count": len(users)}


@pytest.mark.parametrize(
    ("filtered", "reason", "description"),
    [
        ("a", "INVALID_FILTER", "column 2: expected a comparison (=, !=, <, <=, >, >=) or a colon"),
        ("company_id = ", "INVALID_FILTER", "column 14: expected a string in quotes or a value"),
        ('company_id = "c" AND (', "INVALID_FILTER", "column 23: expected a field, NOT, - or ("),
        ("company_id = *", "INVALID_FILTER", f"column 14: {_WILDCARD}"),
        ('company_id : "secret*"', "INVALID_FILTER", f"column 21: {_WILDCARD}"),
        ("NOT metadata.a = secret*", "INVALID_FILTER", f"column 24: {_WILDCARD}"),
        ("application_id = secret", "INVALID_FILTER", "column 1: expected a field that profiles can be chosen by"),
        ("$where = secret", "INVALID_FILTER", "column 1: expected a field, NOT, -, ( or the end"),
        ("aliases = secret", "INVALID_FILTER", "column 1: expected a field that profiles can be chosen by"),
        ("_id:*", "INVALID_FILTER", "column 1: expected a field that profiles can be chosen by"),
        ("metadata:*", "INVALID_FILTER", "column 1: expected a field that profiles can be chosen by"),
        ("campaign.$ne = secret", "INVALID_FILTER", "column 10: expected a key or a string in quotes"),
        ('campaign."$ne" = secret', "INVALID_FILTER", "column 1: expected a field that profiles can be chosen by"),
        (
            f"metadata{'.a' * 21} = secret",
            "INVALID_FILTER",
            "column 1: expected a field that profiles can be chosen by",
        ),
        (
            "created_time > secret",
            "INVALID_FILTER",
            "column 16: expected a time in RFC 3339, such as 2026-01-02T03:04:05Z",
        ),
        ("alias_count > secret", "INVALID_FILTER", "column 15: expected a number"),
        ("metadata.a > true", "INVALID_FILTER", "column 14: expected a string or a number: nothing else has an order"),
        ("metadata.a = 1e400", "INVALID_FILTER", "column 14: expected a number that a double can hold"),
        ("(" * 4096, "INVALID_FILTER", "column 4097: expected a field, NOT, - or ("),
        ("x" * 4097, "TOO_LONG", "longer than 4,096 bytes in UTF-8"),
        ("alias_count=1 " * 51, "TOO_MANY_COMPARISONS", "more than 50 comparisons"),
        (
            "NOT (alias_count=1 AND " * 21 + "alias_count=1" + ")" * 21,
            "TOO_DEEP",
            "AND, OR and NOT inside each other, deeper than 20 levels",
        ),
    ],
)
def test_an_invalid_filter_is_refused_with_its_column_and_without_its_value(
    api: Api, filtered: str, reason: str, description: str
) -> None:
    for path in ("/v1/users", "/v1/users:count", "/v1/campaigns:report"):
        answer = get(api, path, filter=filtered)
        assert refused(answer) == [("filter", reason, description)]
        assert "secret" not in answer.text


@pytest.mark.parametrize(
    "filtered",
    [
        f"{'(' * 2000}alias_count:0{')' * 2000}",
        f"{'NOT(' * 800}alias_count:0{')' * 800}",
        f"{'NOT (alias_count=1 AND ' * 10}alias_count=1{')' * 10}",
        " OR ".join(["alias_count=0"] * 50),
        f"NOT metadata{'.a' * 20}:*",
    ],
)
def test_a_filter_of_the_documented_size_is_accepted(three: Api, filtered: str) -> None:
    assert listed(three, filter=filtered) == ["1", "2", "3"]


@pytest.mark.parametrize("value", ["$ne", "$$ROOT", '{"$ne": 1}', "$where", "' || 1 || '", "[$regex]"])
def test_a_value_is_never_an_operator(three: Api, value: str) -> None:
    quoted = '"' + value.replace('"', '\\"') + '"'
    for path in ("company_id", "user_id", "metadata.stage", "campaign.utm_source", "ip_address", 'metadata."$ne"'):
        for operator in ("=", ":"):
            assert listed(three, filter=f"{path} {operator} {quoted}") == []
    three.stored({"company_id": value, "metadata": {"$ne": value}}, user_id="odd")
    assert listed(three, filter=f'company_id = {quoted} AND metadata."$ne" = {quoted}') == ["odd"]


def test_an_application_cannot_list_count_or_page_through_users_of_another(
    three: Api, stack: Stack, database: Database[dict[str, Any]]
) -> None:
    other = Api(stack.http, register(database, "the other one's list"))
    with other.client:
        for filtered in ("", 'user_id = "1"', "company_id = c OR NOT company_id = c"):
            assert get(other, filter=filtered).json() == {"users": [], "next_page_token": ""}
            assert get(other, "/v1/users:count", filter=filtered).json() == {"count": 0}
        token = get(three, page_size=1).json()["next_page_token"]
        (violation,) = refused(get(other, page_size=1, page_token=token))
        assert violation[:2] == ("page_token", "INVALID_PAGE_TOKEN")


@pytest.mark.parametrize(
    ("asked", "violation"),
    [
        ({"page_size": -1}, ("page_size", "OUT_OF_RANGE")),
        ({"order_by": "company_id"}, ("order_by", "INVALID_ORDER_BY")),
        ({"order_by": "user_id asc"}, ("order_by", "INVALID_ORDER_BY")),
        ({"page_token": "forged"}, ("page_token", "INVALID_PAGE_TOKEN")),
        ({"fields": "aliases"}, ("fields", "INVALID_FIELDS")),
        ({"fields": "company_id,"}, ("fields", "INVALID_FIELDS")),
        ({"fields": 'metadata["a"'}, ("fields", "INVALID_FIELDS")),
        ({"fields": "user_agent.browser"}, ("fields", "INVALID_FIELDS")),
        ({"fields": "campaign.$ne"}, ("fields", "INVALID_FIELDS")),
        ({"fields": "x" * 4097}, ("fields", "TOO_LONG")),
        ({"fields": ",".join(["user_id"] * 101)}, ("fields", "TOO_MANY")),
    ],
)
def test_an_invalid_request_is_refused(api: Api, asked: dict[str, Any], violation: tuple[str, str]) -> None:
    assert [each[:2] for each in refused(get(api, **asked))] == [violation]


@pytest.mark.parametrize("path", ["/v1/users", "/v1/users:count"])
def test_a_collector_key_cannot_list(api: Api, path: str) -> None:
    answer = api.client.get(path, headers=api.writer)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (403, "SCOPE_MISSING")


def test_users_are_listed_in_the_requested_order(api: Api) -> None:
    for user_id, nanosecond in (("b", 2), ("a", 3), ("c", 1)):
        api.stored({"modified_time": f"2026-01-01T00:00:00.00000000{nanosecond}Z"}, user_id=user_id)
    for order_by, users in (("", "bac"), ("modified_time", "cba"), ("user_id", "abc"), ("created_time", "bac")):
        assert listed(api, order_by=order_by) == list(users)
        descending = f"{order_by or 'created_time'} desc"
        assert listed(api, order_by=descending) == list(reversed(users))
        for order in (order_by, descending):
            paged = [user["user_id"] for page in pages(api, order_by=order, page_size=1) for user in page]
            assert paged == listed(api, order_by=order)


def test_a_page_has_at_most_a_thousand_users(three: Api) -> None:
    assert listed(three, page_size=1001) == listed(three, page_size=2**31 - 1) == ["1", "2", "3"]
    tokens = PageTokens(Fernet.generate_key())
    assert plan_list("app", ListRequest(page_size=1001), tokens, 0).limit == 1000


def test_an_observed_address_does_not_match_as_the_ip_address(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    api.stored({}, user_id="observed")
    api.stored({"ip_address": "1.2.3.4"}, user_id="given")
    database.profiles.update_one(
        {"_id": profile_id(application.application_id, "given")}, {"$unset": {"observed_ip_address": ""}}
    )
    users = get(api, fields="ip_address,observed_ip_address").json()["users"]
    assert users == [
        {"user_id": "observed", "ip_address": "127.0.0.1", "observed_ip_address": "127.0.0.1"},
        {"user_id": "given", "ip_address": "1.2.3.4"},
    ]
    assert [user.get("ip_address") for user in get(api, fields="ip_address").json()["users"]] == [
        "127.0.0.1",
        "1.2.3.4",
    ]


@pytest.mark.parametrize(
    "key", ["a.b", "$set", "", "0", 'q"', "b\\", "'", "*", "\x01\n", "\x7f\u2028é😀", "]", "\\u0041"]
)
def test_a_field_path_of_a_response_is_valid_in_a_request(api: Api, key: str) -> None:
    metadata = {"text": "x", key: {key: 2**53 + 1}}
    answer = api.update({"user_id": "u", "metadata": metadata})
    (warning,) = answer.json()["warnings"]
    assert listed(api, filter=f"{warning['field']} = 9007199254740993") == ["u"]
    (user,) = get(api, fields=warning["field"]).json()["users"]
    assert user == {"user_id": "u", "metadata": {key: {key: "9007199254740993"}}}


def test_only_the_requested_fields_are_returned(
    api: Api, application: Application, database: Database[dict[str, Any]]
) -> None:
    metadata = {"a": {"b": 1, "c": [{"b": 2}]}, "a.b": {"d": None, "x": [1]}, "list": [{"b": 1}, 2], "text": "x"}
    campaign = {"utm_source": "google", "gclid": "1"}
    user = {"company_id": "c", "ip_address": "1.2.3.4", "session_token": "t", "campaign": campaign}
    whole = api.stored(user | {"metadata": metadata}, user_id="u")

    def masked(fields: str) -> Any:
        (user,) = get(api, fields=fields).json()["users"]
        assert user.pop("user_id") == "u"
        return user

    assert masked("user_id") == {}
    database.profiles.update_one(
        {"_id": profile_id(application.application_id, "u")},
        {"$set": {"stored_time": datetime(2026, 1, 2, tzinfo=UTC), "observed_ip_address": "5.6.7.8"}},
    )
    whole |= {"stored_time": "2026-01-02T00:00:00Z", "observed_ip_address": "5.6.7.8"}
    whole["etag"] = api.get("u").json()["etag"]
    names = ("company_id", "created_time", "modified_time", "ip_address", "metadata", "alias_count", "campaign")
    for name in (*names, "stored_time", "observed_ip_address"):
        assert masked(name) == {name: whole[name]}
    assert masked("campaign.gclid, initial_campaign.utm_source,campaign.utm_term") == {
        "campaign": {"gclid": "1"},
        "initial_campaign": {"utm_source": "google"},
    }
    assert masked("") == {name: value for name, value in whole.items() if name != "user_id"}
    assert masked('metadata.a.b,metadata."a.b".x') == {"metadata": {"a": {"b": 1}, "a.b": {"x": [1]}}}
    assert masked('metadata["a"].b,metadata["a.b"]["x"]') == {"metadata": {"a": {"b": 1}, "a.b": {"x": [1]}}}
    assert masked("metadata.a.b,metadata.a,metadata.a") == {"metadata": {"a": metadata["a"]}}
    assert masked("metadata.a.c.b,metadata.list.b,metadata.text.x,metadata.none") == {"metadata": {}}
    assert masked("campaign.utm_term,anonymous_id") == {}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(filtered=FILTERS.map(text_of) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_filter_is_the_same_in_a_url_and_in_a_body(three: Api, filtered: str) -> None:
    try:
        plan_count("app", filtered)
        status = 200
    except InvalidRequest:
        status = 400
    for asked, path in (("/v1/users", "/v1/users:search"), ("/v1/users:count", "/v1/users:count")):
        in_url = get(three, asked, filter=filtered)
        in_body = three.client.post(path, json={"filter": filtered}, headers=three.reader)
        assert (in_body.status_code, in_body.json()) == (in_url.status_code, in_url.json())
        assert in_url.status_code == status, in_url.text


async def test_grpc_returns_the_same(three: Api, stack: Stack, application: Application) -> None:
    metadata = (("authorization", f"Bearer {application.management_token}"),)
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        stub = UserServiceStub(channel)
        request = pb.ListUsersRequest(filter="company_id = c", page_size=1, fields=["company_id"])
        users = await stub.ListUsers(request, metadata=metadata)
        count = await stub.CountUsers(pb.CountUsersRequest(filter="company_id = c"), metadata=metadata)
    (user,) = users.users
    assert (user.user_id, user.company_id, user.HasField("metadata"), user.HasField("created_time")) == (
        *("1", "c"),
        *(False, False),
    )
    assert users.next_page_token
    assert count.count == 2


@pytest.mark.parametrize("order_by", ["created_time", "user_id", "modified_time desc"])
def test_a_page_begins_in_the_right_place_after_the_user_before_it_was_deleted(
    api: Api, application: Application, database: Database[dict[str, Any]], order_by: str
) -> None:
    users = [f"u{number}" for number in range(6)]
    for user_id in users:
        api.stored({}, user_id=user_id)
    expected = listed(api, order_by=order_by)
    seen = []
    for page in pages(api, order_by=order_by, page_size=2):
        seen += [user["user_id"] for user in page]
        for user_id in seen:
            database.profiles.delete_one({"_id": profile_id(application.application_id, user_id)})
    assert seen == expected


@pytest.mark.parametrize("number", ["17870000000001000", "-17870000000001000", "9007199254740992"])
def test_a_number_is_compared_exactly_with_an_integer_that_no_double_holds(api: Api, number: str) -> None:
    """An integer next to a stored number, which a double would round to that number."""
    api.stored({"metadata": {"n": int(number)}})
    other = str(int(number) + 1)
    holds = {operator: listed(api, filter=f"metadata.n {operator} {other}") == ["u"] for operator in _OPERATORS}
    assert holds == {"=": False, ":": False, "!=": True, "<": True, "<=": True, ">": False, ">=": False}
    other = str(int(number) - 1)
    if float(other) != int(other):
        holds = {operator: listed(api, filter=f"metadata.n {operator} {other}") == ["u"] for operator in _OPERATORS}
        assert holds == {"=": False, ":": False, "!=": True, "<": False, "<=": False, ">": True, ">=": True}
    for operator in ("=", "<=", ">="):
        assert listed(api, filter=f"metadata.n {operator} {number}") == ["u"]


_OPERATORS = ("=", ":", "!=", "<", "<=", ">", ">=")


def test_an_integer_that_no_double_holds_is_found_by_the_string_that_is_stored(api: Api) -> None:
    answer = api.update({"user_id": "u", "metadata": {"n": 17870000000001001}})
    assert (answer.status_code, answer.json()["warnings"][0]["field"]) == (201, "metadata.n")
    for number in ("17870000000001001", '"17870000000001001"'):
        holds = {
            operator: listed(api, filter=f"metadata.n {operator} {number}") == ["u"] for operator in ("=", ":", "!=")
        }
        assert holds == {"=": True, ":": True, "!=": False}
        assert listed(api, filter=f"NOT metadata.n = {number}") == []
    for operator in ("<", "<=", ">", ">="):
        assert listed(api, filter=f"metadata.n {operator} 17870000000001001") == []
    api.stored({"metadata": {"n": [1, 17870000000001001]}})
    assert listed(api, filter="metadata.n:17870000000001001") == ["u"]
    assert listed(api, filter="metadata.n = 17870000000001001") == []
    assert listed(api, filter=f"metadata.n < 1{'0' * 400} OR alias_count > 1{'1' * 400}") == []
    assert listed(api, filter=f"alias_count < 1{'1' * 400} AND NOT alias_count:1{'1' * 400}") == ["u"]


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("filter", "TOO_LONG"),
        ("order_by", "INVALID_ORDER_BY"),
        ("page_token", "INVALID_PAGE_TOKEN"),
    ],
)
def test_a_string_is_refused_by_its_length_before_it_is_parsed(field: str, reason: str) -> None:
    class Text(str):
        """Has a length, and cannot be read."""

        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            raise AssertionError

    asked: Any = {field: Text(" " * 1_000_000)}
    tokens = PageTokens(Fernet.generate_key())
    with pytest.raises(InvalidRequest) as refused:
        plan_list("app", ListRequest(**asked), tokens, 0)
    assert [(each.field, each.reason) for each in refused.value.violations] == [(field, reason)]


def test_fields_are_counted_before_they_are_measured_and_measured_before_they_are_parsed() -> None:
    class Element(str):
        """Has a length, and cannot be read."""

        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            raise AssertionError

    class Elements(list[str]):
        """Has a number of elements, and cannot be iterated."""

        def __iter__(self) -> Iterator[str]:
            raise AssertionError

    tokens = PageTokens(Fernet.generate_key())
    long: Any = Element("x" * 2_000)
    asked: list[tuple[list[str], str]] = [([long] * 3, "TOO_LONG"), (Elements(["a"] * 101), "TOO_MANY")]
    for fields, reason in asked:
        with pytest.raises(InvalidRequest) as refused:
            plan_list("app", ListRequest(fields=fields), tokens, 0)
        assert [(each.field, each.reason) for each in refused.value.violations] == [("fields", reason)]


def test_the_longest_page_token_is_within_its_limit() -> None:
    tokens = PageTokens(Fernet.generate_key())
    for user_id in ("\x01" * limits.ID_BYTES, "x" * limits.ID_BYTES):
        token = tokens.seal([user_id], ["app"], 0)
        assert len(token) <= limits.PAGE_TOKEN_BYTES
        assert tokens.open(token, ["app"], 0) == [user_id]
