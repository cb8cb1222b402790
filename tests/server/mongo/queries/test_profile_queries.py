"""The queries on a real mongod: their indexes, their limits, their failures, and paging while others write."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from bson import encode
from bson.raw_bson import RawBSONDocument
from cryptography.fernet import Fernet
from pymongo import MongoClient

from server import limits
from server.commit.lookup_batcher import LookupBatcher
from server.errors import DatabaseUnavailable, QueryTooSlow, UserfoldError
from server.local.mongod import EmbeddedMongod
from server.model import (
    STORED,
    Fetched,
    ListRequest,
    Lookup,
    LookupRequest,
    Prefix,
    Profile,
    ProfileWrite,
    ReportRequest,
    UserUpdate,
)
from server.mongo.client import BY_EMAIL_KEY, Database, connect, open_database, prepare
from server.mongo.documents import FetchedDocument
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.queries.report_pipelines import report_pipeline
from server.mongo.queries.user_queries import lookup_query, page_query, profile_query
from server.mongo.secrets import page_token_key
from server.mongo.writes.profiles import MongoProfileStore
from server.query.field_mask import WHOLE, parse_mask
from server.query.page_token import PageTokens
from server.users.count import plan_count
from server.users.derive import EmailFacts, email_facts
from server.users.finding.lookup import plan_lookup, position_in, subject_of_lookup
from server.users.ids import alias_digest, profile_id
from server.users.list_users import plan_list, subject_of_list
from server.users.ports import Found
from server.users.report_campaigns import plan_report
from server.users.update import plan_update
from tests.support.plans import Commands, explained, stages_of

pytestmark = pytest.mark.long

_NAME = "userfold_queries_test"
_NOW = 1_767_323_045_000_000_000
_TOKENS = PageTokens(Fernet.generate_key())


@pytest.fixture(scope="module")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    # A name of its own, so that injected failures hit no program of another test.
    client = connect(f"{mongod.uri}&appName={_NAME}")
    database = open_database(client, _NAME)
    await prepare(database)
    yield database
    await client.drop_database(_NAME)
    client.close()


@pytest.fixture(scope="module")
def queries(opened: Database) -> MongoProfileQueries:
    return MongoProfileQueries(opened)


@contextmanager
def _failing(mongod: EmbeddedMongod, **data: Any) -> Iterator[None]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        # The driver retries once. A report reads a sample before, and is read as a whole where that fails.
        failure = {"configureFailPoint": "failCommand", "mode": {"times": 3}}
        commands = ["find", "aggregate"]
        client.admin.command(failure | {"data": {"failCommands": commands, "appName": _NAME} | data})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def _lookup(application: str, token: str, page_size: int = 0) -> Lookup:
    return plan_lookup(application, LookupRequest({"session_token": token}, page_size), _TOKENS, _NOW)


_BY_ID = ("find", "find_many", "export")
_LISTING = plan_list("app", ListRequest(), _TOKENS, _NOW)
_ASKED: dict[str, Any] = {
    "find": lambda queries: queries.find(profile_id("app", "u")),
    "find_many": lambda queries: queries.find_many([profile_id("app", "u")], WHOLE),
    "export": lambda queries: queries.export("app", [profile_id("app", "u")]),
    "look_up": lambda queries: queries.look_up(Lookup("app", "company_id", "c", 1)),
    "look_up of a token": lambda queries: queries.look_up(Lookup("app", "aliases", b"", 1)),
    "look_up_tokens": lambda queries: queries.look_up_tokens([Lookup("app", "aliases", b"", 1)] * 2),
    "look_up_token": lambda queries: queries.look_up_tokens([Lookup("app", "aliases", b"", 1)]),
    "list_users": lambda queries: queries.list_users(_LISTING),
    "starting_with": lambda queries: queries.starting_with(Prefix("app", "user_id", "u", 1)),
    "count": lambda queries: queries.count(plan_count("app", "")),
    "report": lambda queries: queries.report(plan_report("app", ReportRequest())),
}


@pytest.mark.parametrize("name", _ASKED)
@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ({"errorCode": 50}, QueryTooSlow),
        ({"errorCode": 262}, QueryTooSlow),
        ({"errorCode": 13}, DatabaseUnavailable),
        ({"closeConnection": True}, DatabaseUnavailable),
    ],
    ids=["MaxTimeMSExpired", "ExceededTimeLimit", "Unauthorized", "connection"],
)
async def test_the_error_of_a_query_is_raised(
    mongod: EmbeddedMongod, queries: MongoProfileQueries, name: str, failure: dict[str, Any], error: type[Exception]
) -> None:
    with _failing(mongod, **failure):
        if name in _BY_ID and ("closeConnection" in failure or failure["errorCode"] == 262):
            # The driver retries until its time has expired.
            await _ASKED[name](queries)
        elif name == "look_up_token" and "closeConnection" in failure:
            assert await _ASKED[name](queries) == [None]
        else:
            with pytest.raises(error):
                await _ASKED[name](queries)
    await _ASKED[name](queries)


@pytest.mark.parametrize("name", _ASKED)
async def test_a_database_that_is_silent_is_unavailable_and_not_slow(
    mongod: EmbeddedMongod, queries: MongoProfileQueries, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.mongo.queries.profile_queries.READ_SECONDS", 0.2)
    for limit in ("QUERY_SECONDS", "REPORT_SECONDS"):
        monkeypatch.setattr(limits, limit, 0.2)
    for module in ("cursors", "profile_queries", "reports"):
        monkeypatch.setattr(f"server.mongo.queries.{module}.ANSWER_SECONDS", 0.0)
    with _failing(mongod, blockConnection=True, blockTimeMS=3_000):
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await _ASKED[name](queries)
        assert time.monotonic() - started < 2.9


async def test_an_unreachable_database_is_reported_as_unavailable() -> None:
    client = connect("mongodb://127.0.0.1:9/?directConnection=true", serverSelectionTimeoutMS=50)
    queries = MongoProfileQueries(open_database(client, "x"))
    # Concurrently, because each retries until its time has expired.
    reported = await asyncio.gather(*(ask(queries) for ask in _ASKED.values()), return_exceptions=True)
    assert [type(each) for each in reported] == [DatabaseUnavailable] * len(_ASKED)
    client.close()


async def _page(queries: MongoProfileQueries, application: str, asked: ListRequest) -> tuple[list[str], str]:
    """The users of a page, and the token of the next."""
    listing = plan_list(application, asked, _TOKENS, _NOW)
    users, has_more = await queries.list_users(listing)
    position = users[-1].position(listing.keys) if has_more else None
    token = _TOKENS.seal(position, subject_of_list(application, asked), _NOW) if position else ""
    return [user.profile().user_id for user in users], token


async def test_an_answer_is_as_large_as_a_message_can_be(
    opened: Database, queries: MongoProfileQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates = [UserUpdate(user_id=f"u{number}", company_id="c", metadata={"a": "x" * 1000}) for number in range(9)]
    writes = [plan_update("large", update, _NOW).write for update in updates]
    assert set(await MongoProfileStore(opened).apply(writes)) == {STORED}
    monkeypatch.setattr(limits, "ANSWER_BYTES", 5000)
    seen: list[str] = []
    sizes: list[int] = []
    token = ""
    while not seen or token:
        asked = ListRequest(page_token=token)
        users, token = await _page(queries, "large", asked)
        seen += users
        sizes.append(len(users))
    assert sorted(seen) == [f"u{number}" for number in range(9)]
    assert sizes == [4, 4, 1]
    found, has_more = await queries.look_up(Lookup("large", "company_id", "c", 9))
    assert (len(found), has_more) == (4, True)
    monkeypatch.setattr(limits, "ANSWER_BYTES", 1)
    users, token = await _page(queries, "large", ListRequest())
    assert len(users) == 1
    assert token


async def test_a_look_up_of_many_tokens_finds_what_single_look_ups_find(
    opened: Database, queries: MongoProfileQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(application: str, number: int, token: str) -> ProfileWrite:
        update = UserUpdate(user_id=f"u{number % 7}", session_token=token, modified_time=_NOW + number % 3)
        return plan_update(application, update, _NOW).write

    store = MongoProfileStore(opened)
    for application in ("tokens", "others"):
        # Several users have every fourth token, in both applications.
        writes = [written(application, number, f"t{number // 4 if number % 4 else number}") for number in range(40)]
        assert set(await store.apply(writes)) == {STORED}
    visitor = UserUpdate(user_id="", anonymous_id="a", session_token="t1")
    assert await store.apply([plan_update("tokens", visitor, _NOW).write]) == [STORED]
    profiles = opened.get_collection("profiles")
    for application in ("tokens", "others"):
        # Version 0.1 wrote some last. Others have the same time.
        for number in range(1, 7):
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number // 2)
            change = {"$set": {"stored_time": at}} if number % 3 else {"$unset": {"stored_time": ""}}
            await profiles.update_one({"_id": profile_id(application, f"u{number}")}, change)
            sent_alias = {"alias": alias_digest(application, "t0"), "time": at - timedelta(milliseconds=3 * number)}
            last = {"$set": {"sent_alias": sent_alias}} if number % 2 else {"$unset": {"sent_alias": ""}}
            await profiles.update_one({"_id": profile_id(application, f"u{number}")}, last)
    asked = [
        _lookup(application, token, limit)
        for application in ("tokens", "others", "nobody's")
        for token in ("t0", "t1", "t2", "t8", "t8", "t36", "never there")
        for limit in (1, 0)
    ]
    single = [await queries.look_up(lookup) for lookup in asked]
    expected = [_whole(each) for each in single]
    assert any(has_more for _, has_more in expected)
    found = await queries.look_up_tokens(asked)
    assert found is not None
    assert [each and _whole(each) for each in found] == expected
    for lookup, one, other in zip(asked, single, found, strict=True):
        positions = [[position_in(lookup, user) for user in each[0]] for each in (one, other) if each]
        assert positions[0] == positions[1]
    lone = [await queries.look_up_tokens([lookup]) for lookup in asked]
    # Several users with one token need a query of their own.
    assert [each and each[0] and _whole(each[0]) for each in lone] == [
        None if len(users) > 1 or has_more else (users, has_more) for users, has_more in expected
    ]
    assert {len(users) for users, has_more in expected if not has_more} >= {0, 1, 3}
    monkeypatch.setattr(limits, "GROUP_LOOKUP_BYTES", 1)
    assert await queries.look_up_tokens(asked) is None
    monkeypatch.setattr(limits, "GROUPED_LOOKUP_BYTES", 100)
    assert await queries.look_up_tokens([_lookup("tokens", "t0")]) == [None]


async def test_a_lone_look_up_that_meets_an_election_needs_a_query_of_its_own(
    mongod: EmbeddedMongod, queries: MongoProfileQueries
) -> None:
    with _failing(mongod, closeConnection=True):
        assert await queries.look_up_tokens([_lookup("app", "t")]) == [None]


def test_a_whole_document_has_as_many_aliases_as_it_holds(opened: Database) -> None:
    options = opened.codec_options
    document = _documents("app", "u", range(1))[0]
    for aliases, expected in (([b"1", b"2"], 2), (None, 0)):
        raw = RawBSONDocument(encode(document if aliases is None else document | {"aliases": aliases}))
        assert FetchedDocument(raw, options).profile().alias_count == expected


def _whole(found: Found) -> tuple[list[Profile], bool]:
    users, has_more = found
    return [user.profile() for user in users], has_more


async def _looked_up(queries: MongoProfileQueries, known: dict[str, str], size: int) -> list[list[str]]:
    """The ids on each page of a look-up."""
    pages = list[list[str]]()
    token = ""
    while not pages or token:
        lookup = plan_lookup("paged", LookupRequest(known, size, token), _TOKENS, _NOW)
        users, has_more = await queries.look_up(lookup)
        assert users or not has_more
        pages.append([user.profile().user_id for user in users])
        position = position_in(lookup, users[-1]) if has_more else None
        token = _TOKENS.seal(position, subject_of_lookup(lookup), _NOW) if position else ""
    return pages


@pytest.mark.parametrize("size", [1, 2, 3, 7, 25, 26])
async def test_a_look_up_pages_through_all_users_the_latest_first_and_those_of_version_0_1_last(
    opened: Database, queries: MongoProfileQueries, size: int
) -> None:
    profiles = opened.get_collection("profiles")
    await profiles.delete_many({"application_id": "paged"})
    token = alias_digest("paged", "t")
    documents = _documents("paged", "u", range(25))
    for number, document in enumerate(documents):
        document |= {"company_id": "c", "avatar_url": _AVATAR, "aliases": [token]}
        # Several have the same time, and several have none.
        if number % 3:
            document["stored_time"] = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number * 7 % 5)
        # Of several, the token is the one that they sent last.
        if number % 4:
            sent = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(milliseconds=number * 3 % 4)
            document["sent_alias"] = {"alias": token if number % 4 < 3 else b"another", "time": sent}
    await profiles.insert_many(documents)
    await profiles.insert_one({"_id": "paged/a/visitor", "application_id": "paged", "aliases": [token]})
    # Sorting in reverse keeps the order of equal ones.
    documents.sort(key=lambda document: str(document["user_id"]))
    documents.sort(key=lambda document: document.get("stored_time", _NEVER), reverse=True)
    latest = [document["user_id"] for document in documents]
    assert [document["user_id"] for document in documents if "stored_time" not in document] == latest[-9:]
    is_last = {document["user_id"]: document.get("sent_alias", {}).get("alias") == token for document in documents}
    documents.sort(
        key=lambda document: document["sent_alias"]["time"] if is_last[document["user_id"]] else _NEVER, reverse=True
    )
    last_sent = [document["user_id"] for document in documents]
    assert sum(is_last[user_id] for user_id in last_sent[:12]) == sum(is_last.values()) == 12
    expected = ({"company_id": "c"}, latest), ({"email": "john@acme.com"}, latest), ({"session_token": "t"}, last_sent)
    for known, users in expected:
        pages = await _looked_up(queries, known, size)
        assert [user_id for page in pages for user_id in page] == users
        assert {len(page) for page in pages[:-1]} <= {size}


_NEVER = datetime.min.replace(tzinfo=UTC)
_AVATAR = cast(EmailFacts, email_facts("john@acme.com")).avatar_url


def _ids_or_errors(found: Sequence[Fetched | UserfoldError]) -> list[str]:
    return [type(each).__name__ if isinstance(each, UserfoldError) else each.profile().user_id for each in found]


async def test_many_are_found_in_the_order_of_the_request_small_ones_by_one_query(
    opened: Database, queries: MongoProfileQueries, mongod: EmbeddedMongod
) -> None:
    users = [f"u{number}" for number in range(900)]
    writes = [plan_update("batch", UserUpdate(user_id=each, company_id="c"), _NOW).write for each in users]
    assert set(await MongoProfileStore(opened).apply(writes)) == {STORED}
    await opened.get_collection("profiles").insert_one({"_id": profile_id("batch", "erased"), "suppressed_until": None})
    asked = [*reversed(users), "u5", "u5"]
    commands = Commands()
    client = connect(mongod.uri, event_listeners=[commands])
    heard = MongoProfileQueries(open_database(client, _NAME))
    found = await heard.find_many([profile_id("batch", each) for each in asked], WHOLE)
    assert commands.names == ["find"]
    client.close()
    assert _ids_or_errors(found) == asked
    first = found[0]
    assert isinstance(first, FetchedDocument)
    assert first.profile().company_id == "c"
    missing = ["erased", "u3", "never", "u3"]
    found = await queries.find_many([profile_id("batch", each) for each in missing], parse_mask(["user_id"]))
    assert _ids_or_errors(found) == ["UserNotFound", "u3", "UserNotFound", "u3"]
    assert [each.profile().company_id for each in found if isinstance(each, FetchedDocument)] == [None, None]
    # Another application's.
    assert _ids_or_errors(await queries.find_many([profile_id("nobody's", "u3")], WHOLE)) == ["UserNotFound"]
    assert await queries.find_many([], WHOLE) == []


async def test_as_many_users_are_found_as_a_response_holds_and_all_if_few_fields_are_requested(
    opened: Database, queries: MongoProfileQueries
) -> None:
    text: dict[str, object] = {"a": "x" * 900_000}
    users = [f"u{number}" for number in range(30)]
    store = MongoProfileStore(opened)
    for user_id in users:
        update = UserUpdate(user_id=user_id, metadata=text if user_id != "u4" else {})
        assert await store.apply([plan_update("large batch", update, _NOW).write]) == [STORED]
    ids = [profile_id("large batch", each) for each in [*users, "never"]]
    found = _ids_or_errors(await queries.find_many(ids, WHOLE))
    # Nine of them and the small one fit into 8 MiB.
    assert found == [*users[:10], *["ResponseTooLarge"] * 21]
    assert _ids_or_errors(await queries.find_many(ids, parse_mask(["metadata.b", "company_id"]))) == [
        *users,
        "UserNotFound",
    ]
    assert _ids_or_errors(await queries.find_many([ids[0]] * 12, WHOLE)) == ["u0"] * 9 + ["ResponseTooLarge"] * 3


async def test_only_look_ups_of_large_users_leave_their_group(
    opened: Database, queries: MongoProfileQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates = [
        UserUpdate(user_id="dense", session_token="dense", metadata={"a": "x" * limits.GROUPED_METADATA_BYTES}),
        *(UserUpdate(user_id=f"u{number}", session_token="wide", metadata={"a": "x" * 900}) for number in range(80)),
        UserUpdate(user_id="light", session_token="light", metadata={"a": "x"}),
    ]
    writes = [plan_update("mixed", update, _NOW).write for update in updates]
    assert set(await MongoProfileStore(opened).apply(writes)) == {STORED}
    asked = [_lookup("mixed", token) for token in ("dense", "wide", "light", "nobody")]
    found = await queries.look_up_tokens(asked)
    assert found is not None
    assert [each and len(each[0]) for each in found] == [None, None, 1, 0]


async def test_a_token_of_too_many_users_is_not_looked_up_with_others(
    opened: Database, queries: MongoProfileQueries
) -> None:
    updates = [UserUpdate(user_id=f"u{number}", session_token="shared") for number in range(200)]
    writes = [plan_update("sharing", update, _NOW).write for update in updates]
    assert set(await MongoProfileStore(opened).apply(writes)) == {STORED}
    asked = [_lookup("sharing", token) for token in ("shared", "another")]
    assert await queries.look_up_tokens(asked) is None


async def test_all_servers_seal_with_one_key(opened: Database) -> None:
    key = await page_token_key(opened)
    assert await page_token_key(opened) == key
    PageTokens(key)


def _filtered(text: str) -> dict[str, object]:
    return profile_query(plan_count("app", text))


def _paged(order_by: str) -> tuple[dict[str, object], list[tuple[str, int]]]:
    """The second page of a list."""
    asked = ListRequest(order_by=order_by)
    token = _TOKENS.seal([datetime.now(UTC), "id"], subject_of_list("app", asked), _NOW)
    listing = plan_list("app", ListRequest(order_by=order_by, page_token=token), _TOKENS, _NOW)
    return page_query(listing), [(key, -1 if listing.descending else 1) for key in listing.keys]


_SHAPES: dict[str, tuple[dict[str, object], str]] = {
    'user_id = "x"': (_filtered('user_id = "x"'), "_id"),
    "user_id = x OR user_id = y": (_filtered("user_id = x OR user_id = y"), "_id"),
    "company_id = c": (_filtered("company_id = c"), "company_id"),
    "company_id = c AND metadata.a = x": (_filtered("company_id = c AND metadata.a = x"), "company_id"),
    "created_time >=": (_filtered("created_time >= 2026-01-01T00:00:00Z"), "created_time"),
    "a range": (
        _filtered("created_time >= 2026-01-01T00:00:00Z AND created_time < 2026-02-01T00:00:00Z"),
        "created_time",
    ),
    "all": (_filtered(""), "created_time"),
    "metadata": (_filtered("metadata.a = x"), "created_time"),
    "many tokens": ({"aliases": {"$in": [b"x", b"y"]}, "user_id": {"$exists": True}}, "aliases"),
    "many ids": ({"_id": {"$in": ["app/u/x", "app/u/y"]}, "$expr": {"$lte": [{"$bsonSize": "$$ROOT"}, 1]}}, "_id"),
    **{
        f"{name}, {page} page": (lookup_query(Lookup("app", name, "x", 1, after)), name)
        for name in ("avatar_url", "company_id")
        for page, after in (("first", None), ("later", (datetime.now(UTC), "id")), ("last", (None, "id")))
    },
}


async def _explained(mongod: EmbeddedMongod, ask: Callable[[MongoProfileQueries], Awaitable[object]]) -> Any:
    return await explained(mongod.uri, _NAME, ask)


def _assert_served_by(winning: Any, field: str) -> list[dict[str, Any]]:
    stages = list(stages_of(winning))
    assert "COLLSCAN" not in {stage["stage"] for stage in stages}
    scans = [stage for stage in stages if "keyPattern" in stage]
    assert scans
    for scan in scans:
        assert field in scan["keyPattern"], scan
        narrow = [bound for bound in scan["indexBounds"][field] if bound != "[MinKey, MaxKey]"]
        assert narrow or field == "created_time"
    return stages


@pytest.fixture(scope="module")
async def profiles_of_others(opened: Database) -> None:
    """Profiles that no query of `_SHAPES` returns, after the position of its pages.

    Without them, MongoDB would choose any index that fits.
    """
    await opened.get_collection("profiles").insert_many(
        {
            "_id": f"others/u/{number}",
            "application_id": "others",
            "user_id": str(number),
            **dict.fromkeys(("company_id", "avatar_url", "anonymous_id", "email_key"), "others"),
            "anonymous_ids": ["others"],
            "aliases": [b"others"],
            "created_time": datetime(2020, 1, 1, tzinfo=UTC),
        }
        for number in range(300)
    )


@pytest.mark.usefixtures("profiles_of_others")
@pytest.mark.parametrize("name", _SHAPES)
async def test_an_index_serves_every_promised_query(opened: Database, name: str) -> None:
    query, field = _SHAPES[name]
    plan = await opened.get_collection("profiles").find(query).explain()
    _assert_served_by(plan["queryPlanner"]["winningPlan"], field)


@pytest.mark.usefixtures("profiles_of_others")
@pytest.mark.parametrize(
    "after",
    [None, (datetime.now(UTC),) * 2, (None, datetime.now(UTC)), (None, None)],
    ids=["first", "sent last", "stored later", "last"],
)
async def test_an_index_serves_look_ups_of_tokens(
    mongod: EmbeddedMongod, after: tuple[datetime | None, ...] | None
) -> None:
    lookup = Lookup("others", "aliases", b"of one", 1, after and (*after, "id"))
    plan = await _explained(mongod, lambda queries: queries.look_up(lookup))
    read = plan["stages"][0]["$cursor"]
    _assert_served_by(read["queryPlanner"]["winningPlan"], "aliases")
    assert read["executionStats"]["totalDocsExamined"] == 0


@pytest.mark.usefixtures("profiles_of_others")
@pytest.mark.parametrize("after", [None, (datetime.now(UTC), "id"), (None, "id")], ids=["first", "later", "last"])
async def test_an_index_serves_look_ups_of_anonymous_ids(
    mongod: EmbeddedMongod, after: tuple[datetime | None, str] | None
) -> None:
    lookup = Lookup("others", "anonymous_ids", "of one", 1, after, [("anonymous_id", ["of one"])])
    plan = await _explained(mongod, lambda queries: queries.look_up(lookup))
    stages = stages_of(plan["queryPlanner"]["winningPlan"])
    scans = [stage["keyPattern"] for stage in stages if "keyPattern" in stage]
    assert sorted(scans, key=str) == [{"application_id": 1, field: 1} for field in ("anonymous_id", "anonymous_ids")]
    assert plan["executionStats"]["totalDocsExamined"] == 0


@pytest.mark.usefixtures("profiles_of_others")
@pytest.mark.parametrize("after", [None, (datetime.now(UTC), "id"), (None, "id")], ids=["first", "later", "last"])
@pytest.mark.parametrize("email", ["john@acme.com", "jörg@bücher.de", "a..b@docomo.ne.jp", "ü@nas.local"])
async def test_a_look_up_of_an_email_is_one_query_which_two_indexes_serve(
    mongod: EmbeddedMongod, email: str, after: tuple[datetime | None, str] | None
) -> None:
    lookup = replace(plan_lookup("others", LookupRequest({"email": email}), _TOKENS, _NOW), after=after)
    plan = await _explained(mongod, lambda queries: queries.look_up(lookup))
    winning = plan["queryPlanner"]["winningPlan"]
    assert "COLLSCAN" not in {stage["stage"] for stage in stages_of(winning)}
    scans = [stage for stage in stages_of(winning) if "keyPattern" in stage]
    assert {tuple(scan["keyPattern"]) for scan in scans} <= {tuple(BY_EMAIL_KEY), ("application_id", "avatar_url")}
    for scan in scans:
        assert "[MinKey, MaxKey]" not in [*scan["indexBounds"].values()][1]
    executed = plan["executionStats"]
    # At most one key after each of the addresses.
    assert (executed["totalDocsExamined"], executed["totalKeysExamined"] < 12) == (0, True)


@pytest.mark.parametrize("known", [{"email": "john@acme.com"}, {"session_token": "t"}, {"company_id": "c"}])
async def test_a_look_up_of_one_user_is_one_command(mongod: EmbeddedMongod, known: dict[str, str]) -> None:
    commands = Commands()
    client = connect(mongod.uri, event_listeners=[commands])
    batcher = LookupBatcher(MongoProfileQueries(open_database(client, _NAME)))
    async with batcher.look_up(plan_lookup("app", LookupRequest(known), _TOKENS, _NOW)) as (fetched, _):
        assert fetched == []
    assert commands.names == ["find"]
    client.close()


@pytest.mark.parametrize("order_by", ["created_time", "created_time desc"])
async def test_an_index_serves_the_order_by_created_time(opened: Database, order_by: str) -> None:
    query, sort = _paged(order_by)
    plan = await opened.get_collection("profiles").find(query).sort(sort).limit(1001).explain()
    stages = _assert_served_by(plan["queryPlanner"]["winningPlan"], "created_time")
    assert "SORT" not in {stage["stage"] for stage in stages}
    bounds = next(stage["indexBounds"]["created_time"] for stage in stages if "indexBounds" in stage)
    assert "MinKey" not in str(bounds) or "MaxKey" not in str(bounds)


async def test_an_index_serves_a_report_over_a_time_range(opened: Database) -> None:
    report = plan_report("app", ReportRequest(start_time=_NOW, end_time=_NOW + 1_000_000_000))
    command = {"aggregate": "profiles", "pipeline": report_pipeline(report), "cursor": {}}
    plan = await opened.command("explain", command)
    stages = _assert_served_by(plan, "created_time")
    bounds = next(stage["indexBounds"]["created_time"] for stage in stages if "indexBounds" in stage)
    assert bounds == ["[new Date(1767323045000), new Date(1767323046000))"]


async def test_the_index_alone_counts_all_users(
    opened: Database, queries: MongoProfileQueries, mongod: EmbeddedMongod
) -> None:
    documents = _documents("counted", "u", range(20))
    documents.append({"_id": "counted/a/visitor", "application_id": "counted", "anonymous_id": "visitor"})
    documents.append({"_id": "counted/u/erased", "suppressed_until": datetime(2099, 1, 1, tzinfo=UTC)})
    await opened.get_collection("profiles").insert_many(documents)
    counted = plan_count("counted", "")
    assert await queries.count(counted) == 20
    plan = await _explained(mongod, lambda queries: queries.count(counted))
    stages = {stage["stage"] for stage in stages_of(plan)}
    assert stages & {"COUNT_SCAN", "IXSCAN"}
    assert not stages & {"FETCH", "COLLSCAN"}


@pytest.mark.usefixtures("profiles_of_others")
@pytest.mark.parametrize("order_by", ["user_id", "user_id desc"])
@pytest.mark.parametrize("filtered", ["", "NOT metadata.a = x"])
@pytest.mark.parametrize("page", ["first", "later"])
async def test_the_order_by_user_id_reads_no_more_users_than_a_page_has(
    mongod: EmbeddedMongod, order_by: str, filtered: str, page: str
) -> None:
    asked = ListRequest(order_by=order_by, filter=filtered, page_size=10)
    if page == "later":
        token = _TOKENS.seal(["200"], subject_of_list("others", asked), _NOW)
        asked = replace(asked, page_token=token)
    listing = plan_list("others", asked, _TOKENS, _NOW)
    plan = await _explained(mongod, lambda queries: queries.list_users(listing))
    stages = _assert_served_by(plan["queryPlanner"]["winningPlan"], "user_id")
    assert not {stage["stage"] for stage in stages} & {"SORT", "COLLSCAN"}
    assert plan["executionStats"]["totalDocsExamined"] <= 12


@pytest.mark.usefixtures("profiles_of_others")
@pytest.mark.parametrize(
    ("filtered", "field"),
    [
        ("company_id = c", "company_id"),
        ("company_id = c AND NOT metadata.a = x", "company_id"),
        ("company_id = c OR company_id = d", "company_id"),
        ("created_time < 2000-01-01T00:00:00Z", "created_time"),
        ("user_id = x OR user_id = y", "_id"),
        ('company_id = c OR user_id = "1"', "user_id"),
        ("NOT company_id = c", "user_id"),
    ],
)
async def test_an_order_by_user_id_leaves_a_filter_its_index(mongod: EmbeddedMongod, filtered: str, field: str) -> None:
    listing = plan_list("others", ListRequest(order_by="user_id", filter=filtered), _TOKENS, _NOW)
    plan = await _explained(mongod, lambda queries: queries.list_users(listing))
    _assert_served_by(plan["queryPlanner"]["winningPlan"], field)


_USERS = 100_000


def _seed(application_id: str, prefix: str, count: int) -> list[dict[str, Any]]:
    # A hundred users have the same time of creation, like the users of one batch.
    number = {"$toString": "$n"}
    created = {"$add": [datetime(2026, 1, 1, tzinfo=UTC), {"$floor": {"$divide": ["$n", 100]}}]}
    return [
        {"$documents": [{"n": {"$range": [0, count]}}]},
        {"$unwind": "$n"},
        {
            "$project": {
                "_id": {"$concat": [f"{application_id}/u/{prefix}", number]},
                "application_id": application_id,
                "user_id": {"$concat": [prefix, number]},
                "created_time": created,
                "modified_time": created,
                "modified_nanos": {"$literal": 0},
            }
        },
    ]


def _documents(application_id: str, prefix: str, numbers: range) -> list[dict[str, Any]]:
    return [
        {
            "_id": f"{application_id}/u/{prefix}{number}",
            "application_id": application_id,
            "user_id": f"{prefix}{number}",
            "created_time": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number // 100),
            "modified_time": datetime(2026, 1, 1, tzinfo=UTC),
            "modified_nanos": 0,
        }
        for number in numbers
    ]


async def test_paging_returns_every_user_who_is_stored_throughout_exactly_once(
    opened: Database, queries: MongoProfileQueries, mongod: EmbeddedMongod
) -> None:
    turns = [threading.Semaphore(0) for _ in range(3)]

    def write(writer: int) -> None:
        with MongoClient[dict[str, Any]](mongod.uri) as client:
            profiles = client[_NAME].profiles
            for number in range(100):
                # A turn for each page, while others write.
                turns[writer].acquire()
                some = range(number * 131 % 990, _USERS, 1_000)
                if writer == 0:
                    profiles.insert_many(_documents("many", f"new{number}-", some), ordered=False)
                elif writer == 1:
                    ids = [f"many/u/kept{each}" for each in some]
                    profiles.update_many({"_id": {"$in": ids}}, {"$set": {"metadata.n": number, "company_id": "c"}})
                else:
                    ids = [f"many/u/doomed{each}" for each in range(number, _USERS // 100, 100)]
                    profiles.delete_many({"_id": {"$in": ids}})

    with MongoClient[dict[str, Any]](mongod.uri) as client:
        client[_NAME].aggregate([*_seed("many", "kept", _USERS), {"$out": "profiles"}])
        client[_NAME].profiles.insert_many(_documents("many", "doomed", range(_USERS // 100)))
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    try:
        token = ""
        while not seen or token:
            for turn in turns:
                turn.release()
            asked = ListRequest(page_size=1000, page_token=token, fields=["user_id"])
            users, token = await _page(queries, "many", asked)
            seen += users
    finally:
        for turn in turns:
            turn.release(100)
        for thread in threads:
            thread.join()
    assert len(seen) == len(set(seen))
    assert {user_id for user_id in seen if user_id.startswith("kept")} == {f"kept{each}" for each in range(_USERS)}


@pytest.mark.parametrize("name", ["list_users", "count", "report"])
async def test_a_query_that_takes_too_long_is_cancelled(
    mongod: EmbeddedMongod, queries: MongoProfileQueries, name: str
) -> None:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        # Every operation that has a time limit exceeds it.
        client.admin.command({"configureFailPoint": "maxTimeAlwaysTimeOut", "mode": "alwaysOn"})
        try:
            with pytest.raises(QueryTooSlow):
                await _ASKED[name](queries)
        finally:
            client.admin.command({"configureFailPoint": "maxTimeAlwaysTimeOut", "mode": "off"})
