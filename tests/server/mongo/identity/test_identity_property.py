"""Random sequences of calls on a real MongoDB, also where servers are interrupted, against the reference."""

import itertools
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.errors import UserfoldError, UserNotFound, VisitorIdentified
from server.local.mongod import EmbeddedMongod
from server.model import Erasure, Stored, UserMerge
from server.mongo.client import Database, connect, open_database, prepare
from server.mongo.identity.merges import MongoProfileMerges
from server.mongo.identity.pending import PendingAbsorptions
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.removal.erasure import MongoProfileErasure
from server.mongo.removal.visitor_erasure import MongoVisitorErasure
from server.mongo.writes.profiles import MongoProfileStore
from server.users.ids import alias_digest, profile_id, visitor_id
from tests.server.mongo.identity.interrupted import Interruption, interrupted_by
from tests.server.mongo.writes.store_writes import applied
from tests.support.expected_identity import ReferenceWorld
from tests.support.identity_calls import CALLS, planned, shown, without_resends

pytestmark = pytest.mark.long

_EXAMPLES: Final = int(os.environ.get("USERFOLD_TEST_EXAMPLES", "30"))
_settings = settings(max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
_numbers = itertools.count()

_INTERRUPTIONS = st.none() | st.tuples(st.integers(1, 5), st.booleans())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(mongod: EmbeddedMongod) -> AsyncIterator[Database]:
    client = connect(mongod.uri)
    database = open_database(client, "userfold_identity_test")
    await prepare(database)
    yield database
    client.close()


class Servers:
    """Makes the calls of one application, as servers that share a database do."""

    def __init__(self, database: Database) -> None:
        self.application_id = f"app{next(_numbers)}"
        self.interruption = Interruption()
        self._database = database
        interrupted = interrupted_by(self.interruption, database)
        self._store = MongoProfileStore(interrupted)
        self._merges = MongoProfileMerges(interrupted)
        self._erasure = MongoProfileErasure(interrupted)
        self._visitors = MongoVisitorErasure(interrupted)

    async def call(self, step: int, name: str, *arguments: Any) -> bool:
        """Make a call. Returns whether it succeeds."""
        return bool(await getattr(self, f"_{name}")(step, *arguments))

    async def finish(self) -> None:
        await PendingAbsorptions(self._database).make_pass()
        assert await self._database.profiles.count_documents({"absorption": {"$exists": True}}) == 0

    async def shown(self) -> dict[str, Any]:
        own = {"_id": {"$gte": f"{self.application_id}/", "$lt": f"{self.application_id}0"}}
        return shown(self.application_id, await self._database.profiles.find(own).to_list(None))

    async def exported_tokens(self, user_id: str) -> Sequence[bytes]:
        """The digests of the session tokens in the export of a user, or none if there is no such user."""
        queries = MongoProfileQueries(self._database)
        (found,) = await queries.export(self.application_id, [profile_id(self.application_id, user_id)])
        if isinstance(found, UserfoldError):
            return []
        stored = found.stored_user()
        return [alias for each in (stored, *stored.visitors) for alias in each.aliases]

    async def possible(self, worlds: Iterable[ReferenceWorld]) -> Sequence[ReferenceWorld]:
        """Those of the worlds that may be stored now, each once."""
        now = await self.shown()
        found = {
            repr({key: each.shown() for key, each in world.pending.items()}): world
            for world in worlds
            if world.shown() == now
        }
        assert found
        return list(found.values())

    async def _update(self, step: int, update: dict[str, Any]) -> bool:
        # A server plans an update once, whatever becomes of it.
        (outcome,) = await applied(self._store, [planned(self.application_id, update, step).write])
        return isinstance(outcome, Stored)

    async def _merge(self, _: int, user_id: str, source_user_id: str) -> bool:
        if user_id == source_user_id:
            return True
        target, source = (profile_id(self.application_id, each) for each in (user_id, source_user_id))
        try:
            await self._merges.merge(UserMerge(source, target))
        except UserNotFound:
            return True
        except UserfoldError:
            return False
        return True

    async def _erase_visitor(self, _: int, anonymous_id: str) -> bool:
        try:
            await self._visitors.erase(visitor_id(self.application_id, anonymous_id))
        except UserfoldError as error:
            return isinstance(error, VisitorIdentified)
        return True

    async def _erase(self, _: int, user_id: str) -> bool:
        erasure = Erasure(self.application_id, profile_id(self.application_id, user_id), None)
        (erased,) = await self._erasure.erase([erasure])
        return isinstance(erased, bool)


def after(world: ReferenceWorld, step: int, name: str, *arguments: Any) -> ReferenceWorld:
    """The world after a call."""
    world = world.copy()
    if name == "update":
        world.update(arguments[0], step)
    else:
        getattr(world, name)(*arguments)
    return world


def interrupted(world: ReferenceWorld, step: int, name: str, *arguments: Any) -> Iterator[ReferenceWorld]:
    """The worlds that a call may leave where it is interrupted."""
    yield world
    yield after(world, step, name, *arguments)
    if name == "update":
        (update,) = arguments
        user_id, anonymous_id = update.get("user_id"), update.get("anonymous_id")
        if user_id and anonymous_id:
            stored = world.copy()
            stored.update(update, step, absorbs=False)
            yield stored
            pending = stored.copy()
            pending.identify(anonymous_id, pending.end_of(user_id))
            yield pending
        elif anonymous_id:
            finished = world.copy()
            finished.finish(anonymous_id)
            yield finished
    elif name == "erase":
        # Pointers and visitors are erased first.
        partly = after(world, step, name, *arguments)
        user = world.end_of(arguments[0])
        if user in world.users:
            partly.users[user] = world.copy().users[user]
        yield partly


@_settings
@given(st.lists(CALLS, min_size=1, max_size=12))
async def test_random_calls_leave_what_the_reference_expects(opened: Database, calls: list[tuple[Any, ...]]) -> None:
    servers, world = Servers(opened), ReferenceWorld()
    for step, call in enumerate(without_resends(calls)):
        assert await servers.call(step, *call)
        world = after(world, step, *call)
        assert await servers.shown() == world.shown(), call


@_settings
@given(st.lists(st.tuples(CALLS, _INTERRUPTIONS), min_size=1, max_size=8))
async def test_an_interrupted_server_loses_and_repeats_nothing(
    opened: Database, calls: list[tuple[tuple[Any, ...], tuple[int, bool] | None]]
) -> None:
    servers = Servers(opened)
    worlds: Sequence[ReferenceWorld] = [ReferenceWorld()]
    for step, (call, where) in enumerate(
        zip(without_resends([call for call, _ in calls]), [where for _, where in calls], strict=False)
    ):
        if where is not None:
            servers.interruption.begin(where[0], applied=where[1])
        succeeded = await servers.call(step, *call)
        servers.interruption.end()
        assert succeeded or where is not None
        results = interrupted if not succeeded else lambda *arguments: [after(*arguments)]
        worlds = await servers.possible([result for world in worlds for result in results(world, step, *call)])
    await servers.finish()
    for world in worlds:
        world.finish_all()
    assert await servers.shown() in [world.shown() for world in worlds]


_VISIT: Final = {"anonymous_id": "a1", "session_token": "t1", "metadata": {"p": 1, "q": {"p": 1}}, "company_id": "c1"}
_SIGN_IN: Final = ("update", {"user_id": "u1", "anonymous_id": "a1", "metadata": {"q": {"q": 2}}})
_NEXT: Final[Sequence[Sequence[tuple[Any, ...]]]] = [
    [],
    [_SIGN_IN],
    [("update", {"anonymous_id": "a1", "metadata": {"p": None}, "session_token": "t2"})],
    [("update", {"user_id": "u1", "metadata": {"p": None, "q": {"p": None}}, "clear_fields": ["company_id"]})],
    [("update", {"user_id": "u2", "anonymous_id": "a1"}), ("update", {"anonymous_id": "a1", "metadata": {"q": 3}})],
    [("update", {"user_id": "u2", "metadata": {"p": 4}}), ("merge", "u2", "u1")],
    [("erase", "u1"), ("update", {"anonymous_id": "a1", "metadata": {"b": 1}})],
]


@pytest.mark.parametrize("applied_too", [False, True])
@pytest.mark.parametrize("at", range(1, 6))
async def test_whatever_follows_an_interrupted_identification_goes_on_from_there(
    opened: Database, at: int, applied_too: bool
) -> None:
    for following in _NEXT:
        servers = Servers(opened)
        assert await servers.call(0, "update", _VISIT)
        world = after(ReferenceWorld(), 0, "update", _VISIT)
        servers.interruption.begin(at, applied=applied_too)
        succeeded = await servers.call(1, *_SIGN_IN)
        servers.interruption.end()
        # The update, the pointer, what the user lacks, and the end of the absorption are one write each.
        assert succeeded is (at > 4)
        # Whatever the point, an export has all of the visitor's, and once.
        token = alias_digest(servers.application_id, "t1")
        assert await servers.exported_tokens("u1") == ([] if (at, applied_too) == (1, False) else [token])
        results = interrupted if not succeeded else lambda *arguments: [after(*arguments)]
        worlds = await servers.possible(results(world, 1, *_SIGN_IN))
        for step, call in enumerate(following, 2):
            assert await servers.call(step, *call)
            worlds = await servers.possible([after(world, step, *call) for world in worlds])
        await servers.finish()
        for world in worlds:
            world.finish_all()
        assert await servers.shown() in [world.shown() for world in worlds], following
