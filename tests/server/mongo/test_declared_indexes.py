"""Declared paths on a real mongod: their indexes, the queries that these serve, and what is refused without them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from server import limits
from server.errors import ApplicationNotFound, IndexRequired, QueryTooSlow, TooManyIndexes
from server.local.mongod import EmbeddedMongod
from server.model import ListRequest, ReportRequest
from server.mongo.accounts.applications import MongoApplicationStore
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.declared_indexes import DeclaredIndexes
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.query.declared_paths import declared_path
from server.query.page_token import PageTokens
from server.users.count import plan_count
from server.users.list_users import Listing, plan_list
from server.users.report_campaigns import plan_report
from tests.support.plans import stages_of

_NAME = "userfold_declared_test"
_NOW = datetime(2026, 1, 2, tzinfo=UTC)
_TOKENS = PageTokens(Fernet.generate_key())
_STAGE = declared_path("metadata.sales.stage")
_MODIFIED = declared_path("modified_time")
_USERS = 600


class Queries(CommandListener):
    """Records the queries that a client sends."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate") and "profiles" in event.command.values():
            self.sent.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


class Opened:
    """A database of one application with users, and what serves it."""

    def __init__(self, database: Database, heard: Queries) -> None:
        self.database = database
        self.store = MongoApplicationStore(database)
        self.indexes = DeclaredIndexes(database)
        self.queries = MongoProfileQueries(database, self.indexes)
        self._heard = heard

    async def declare(self, *paths: str) -> None:
        for path in paths:
            await self.store.declare("app", declared_path(path), _NOW)
        await self.indexes.refresh()

    async def names(self) -> list[str]:
        """The names of the indexes of declared paths."""
        found = await self.database.get_collection("profiles").index_information()
        return [name for name in found if name.startswith("declared_")]

    async def executed(self, ask: Callable[[], Awaitable[Any]]) -> tuple[dict[str, Any], Any]:
        """The execution of the last query of a call, and the result of the call."""
        result = await ask()
        of_driver = {"lsid", "$db", "$clusterTime", "readConcern", "maxTimeMS"}
        query = {name: value for name, value in self._heard.sent[-1].items() if name not in of_driver}
        plan = await self.database.command("explain", query, verbosity="executionStats")
        return plan, result


def _document(number: int) -> dict[str, Any]:
    at = _NOW + timedelta(seconds=number * 7919 % _USERS)
    # One user in twenty is a customer, and some have an array there.
    stage: Any = "Customer" if number % 20 == 0 else ["Customer", "Lead"] if number % 20 == 1 else "Lead"
    return {
        "_id": f"app/u/{number:04}",
        "application_id": "app",
        "user_id": f"u{number:04}",
        "created_time": _NOW + timedelta(seconds=number),
        "modified_time": at,
        "modified_nanos": number % 3,
        "metadata": {"sales": {"stage": stage, "value": number}} if number % 20 != 2 else {},
    }


@pytest.fixture
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Opened]:
    heard = Queries()
    client = connect(mongod.uri, event_listeners=[heard])
    await client.drop_database(_NAME)
    database = open_database(client, _NAME)
    await prepare(database)
    await database.get_collection("applications").insert_many([{"_id": each, "name": each} for each in ("app", "b")])
    visitor = {"_id": "app/a/v", "application_id": "app", "anonymous_id": "v", "modified_time": _NOW}
    await database.get_collection("profiles").insert_many([*map(_document, range(_USERS)), visitor])
    yield Opened(database, heard)
    await client.drop_database(_NAME)
    client.close()


def _examined(plan: dict[str, Any]) -> int:
    """How many profiles were read."""
    if "executionStats" in plan:
        return int(plan["executionStats"]["totalDocsExamined"])
    return int(plan["stages"][0]["$cursor"]["executionStats"]["totalDocsExamined"])


def _listing(order_by: str = "", filtered: str = "", token: str = "", size: int = 10) -> Listing:
    asked = ListRequest(order_by=order_by, filter=filtered, page_token=token, page_size=size)
    return plan_list("app", asked, _TOKENS, 0)


async def _listed(queries: MongoProfileQueries, listing: Listing) -> list[str]:
    users, _ = await queries.list_users(listing)
    return [user.profile().user_id for user in users]


@pytest.mark.parametrize(
    ("filtered", "users"),
    [
        ("metadata.sales.stage = Customer", 30),
        ("metadata.sales.stage : Customer", 60),
        ("metadata.sales.stage = Customer AND metadata.sales.value >= 300", 15),
        ("metadata.sales.stage = Customer OR metadata.sales.stage = Other", 30),
        ("metadata.sales.stage < D", 30),
    ],
)
async def test_a_declared_path_serves_filters_and_counts(opened: Opened, filtered: str, users: int) -> None:
    assert await opened.queries.count(plan_count("app", filtered)) == users
    await opened.declare("metadata.sales.stage")
    plan, count = await opened.executed(lambda: opened.queries.count(plan_count("app", filtered)))
    assert count == users
    assert _examined(plan) <= 90
    plan, listed = await opened.executed(lambda: _listed(opened.queries, _listing("user_id", filtered, size=100)))
    assert len(listed) == users
    assert _examined(plan) <= 90


@pytest.mark.parametrize("order_by", ["", "created_time desc"])
async def test_a_declared_path_serves_pages_of_the_users_with_one_value(opened: Opened, order_by: str) -> None:
    await opened.declare("metadata.sales.stage")
    listing = _listing(order_by, "metadata.sales.stage = Customer")
    plan, listed = await opened.executed(lambda: _listed(opened.queries, listing))
    numbers = list(range(0, _USERS, 20))
    assert listed == [f"u{number:04}" for number in (numbers[::-1] if order_by else numbers)[:10]]
    assert "SORT" not in {stage["stage"] for stage in stages_of(plan["queryPlanner"]["winningPlan"])}
    assert _examined(plan) <= 30


@pytest.mark.parametrize("order_by", ["modified_time", "modified_time desc"])
@pytest.mark.parametrize("filtered", ["", "NOT metadata.sales.stage = Customer"])
async def test_a_declared_modified_time_serves_its_order_page_by_page(
    opened: Opened, order_by: str, filtered: str
) -> None:
    expected = await _listed(opened.queries, _listing(order_by, filtered, size=1000))
    assert len(expected) > 500
    await opened.declare("modified_time")
    seen: list[str] = []
    listing = _listing(order_by, filtered, size=100)
    while True:
        plan, (users, has_more) = await opened.executed(lambda listing=listing: opened.queries.list_users(listing))  # type: ignore[misc]
        assert "SORT" not in {stage["stage"] for stage in stages_of(plan["queryPlanner"]["winningPlan"])}
        assert _examined(plan) <= 120
        seen += [user.profile().user_id for user in users]
        if not has_more:
            break
        asked = ListRequest(order_by=order_by, filter=filtered, page_size=100)
        token = _TOKENS.seal(users[-1].position(listing.keys), ["app", filtered, order_by], 0)
        listing = plan_list("app", ListRequest(**{**_fields(asked), "page_token": token}), _TOKENS, 0)
    assert seen == expected


def _fields(asked: ListRequest) -> dict[str, Any]:
    return {"order_by": asked.order_by, "filter": asked.filter, "page_size": asked.page_size}


async def test_a_range_of_the_declared_modified_time_is_counted_by_its_index(opened: Opened) -> None:
    await opened.declare("modified_time")
    query = plan_count("app", "modified_time >= 2026-01-02T00:09:50Z")
    plan, count = await opened.executed(lambda: opened.queries.count(query))
    assert count == 10
    assert _examined(plan) <= 20


async def test_an_index_holds_only_the_users_of_its_application_who_have_the_field(opened: Opened) -> None:
    await opened.declare("metadata.sales.stage")
    (name,) = await opened.names()
    found = (await opened.database.get_collection("profiles").index_information())[name]
    assert dict(found["partialFilterExpression"]) == {
        "application_id": "app",
        "user_id": {"$exists": True},
        "metadata.sales.stage": {"$exists": True},
    }


async def test_an_index_is_used_once_it_is_ready_and_dropped_when_it_is_withdrawn(opened: Opened) -> None:
    await opened.store.declare("app", _STAGE, _NOW)
    await opened.store.declare("app", _STAGE, _NOW + timedelta(seconds=1))
    assert (opened.indexes.of("app"), await opened.names()) == (frozenset(), [])
    await opened.indexes.refresh()
    assert [*opened.indexes.of("app")] == [_STAGE]
    assert not opened.indexes.of("b")
    assert len(await opened.names()) == 1
    assert await opened.store.declared("app") == ["metadata.sales.stage"]
    await opened.store.withdraw("app", _STAGE)
    assert (await opened.names(), await opened.store.declared("app")) == ([], [])
    # Declared again before the server has seen that it was withdrawn.
    await opened.store.declare("app", _STAGE, _NOW + timedelta(seconds=2))
    await opened.indexes.refresh()
    assert len(await opened.names()) == 1
    await opened.store.withdraw("app", _STAGE)
    await opened.store.withdraw("app", _STAGE)
    await opened.indexes.refresh()
    assert (opened.indexes.of("app"), await opened.names()) == (frozenset(), [])


async def test_a_path_that_is_withdrawn_while_its_index_is_built_leaves_no_index(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened.store.declare("app", _STAGE, _NOW)
    read = opened.indexes._declared

    async def then_withdrawn() -> Any:
        declared = await read()
        if declared:
            await opened.store.withdraw("app", _STAGE)
        return declared

    # Withdrawn after the server has read the declarations, and before it builds the index.
    monkeypatch.setattr(opened.indexes, "_declared", then_withdrawn)
    await opened.indexes.refresh()
    assert (opened.indexes.of("app"), await opened.names()) == (frozenset(), [])


async def test_declared_paths_are_limited(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(limits.DECLARED_PATHS):
        await opened.store.declare("app", declared_path(f"metadata.a{number}"), _NOW)
    with pytest.raises(TooManyIndexes, match="an application may have at most 4"):
        await opened.store.declare("app", _STAGE, _NOW)
    # One that is declared stays so.
    await opened.store.declare("app", declared_path("metadata.a0"), _NOW)
    monkeypatch.setattr(limits, "DECLARED_PATHS_IN_ALL", 4)
    with pytest.raises(TooManyIndexes, match="all applications together may have at most 4"):
        await opened.store.declare("b", _STAGE, _NOW)
    for call in (
        opened.store.declare("nobody", _STAGE, _NOW),
        opened.store.withdraw("nobody", _STAGE),
        opened.store.declared("nobody"),
    ):
        with pytest.raises(ApplicationNotFound):
            await call


async def test_a_path_of_a_later_version_is_left_alone(opened: Opened) -> None:
    later = {"path": "score_of_a_later_version", "declared_time": _NOW}
    await opened.database.get_collection("applications").update_one({"_id": "b"}, {"$push": {"indexes": later}})
    await opened.declare("modified_time")
    assert [*opened.indexes.of("app")] == [_MODIFIED]
    assert not opened.indexes.of("b")


_REFUSED: dict[str, tuple[Callable[[MongoProfileQueries], Awaitable[object]], str | None]] = {
    "order": (lambda queries: queries.list_users(_listing("modified_time desc")), "modified_time"),
    "order and filter": (
        lambda queries: queries.list_users(_listing("modified_time", "metadata.sales.stage = x")),
        "modified_time",
    ),
    "count": (
        lambda queries: queries.count(plan_count("app", 'NOT company_id = c AND metadata."sales".stage = x')),
        "metadata.sales.stage",
    ),
    "count of a key in quotes": (
        lambda queries: queries.count(plan_count("app", 'metadata."a.b"."$c" = 1')),
        'metadata["a.b"]["$c"]',
    ),
    "count without a path": (lambda queries: queries.count(plan_count("app", "NOT metadata.a = 1")), None),
    "company": (lambda queries: queries.count(plan_count("app", "company_id:*")), None),
}


@pytest.mark.parametrize("name", _REFUSED)
async def test_a_query_that_would_read_too_many_users_is_refused_with_the_path_to_declare(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ask, path = _REFUSED[name]
    monkeypatch.setattr(limits, "UNINDEXED_USERS", _USERS)
    await ask(opened.queries)
    monkeypatch.setattr(limits, "UNINDEXED_USERS", _USERS - 1)
    with pytest.raises((IndexRequired, QueryTooSlow)) as refused:
        await ask(opened.queries)
    assert getattr(refused.value, "path", None) == path
    if path is not None:
        await opened.declare(path)
        await ask(opened.queries)


@pytest.mark.parametrize(
    "ask",
    [
        lambda queries: queries.count(plan_count("app", "")),
        lambda queries: queries.count(plan_count("app", "company_id = c AND metadata.a = 1")),
        lambda queries: queries.count(plan_count("app", "company_id = c OR company_id = d")),
        lambda queries: queries.count(plan_count("app", "created_time > 2026-01-01T00:00:00Z")),
        lambda queries: queries.list_users(_listing("", "NOT metadata.a = 1")),
        lambda queries: queries.list_users(_listing("user_id desc", "NOT metadata.a = 1")),
        lambda queries: queries.list_users(_listing("modified_time", "user_id = u")),
        lambda queries: queries.report(plan_report("app", ReportRequest(filter="metadata.a = 1"))),
    ],
)
async def test_a_query_that_an_index_serves_is_never_refused(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, ask: Callable[[MongoProfileQueries], Awaitable[object]]
) -> None:
    monkeypatch.setattr(limits, "UNINDEXED_USERS", 0)
    await ask(opened.queries)


async def test_the_users_of_another_application_do_not_count(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNINDEXED_USERS", 10)
    assert await opened.queries.count(plan_count("b", "metadata.a = 1")) == 0
