"""The service without a server: what it asks of its store, at a time of the test's own, through grpcio-testing.

grpcio-testing knows no asyncio: an adapter runs each coroutine to its end.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc_testing  # type: ignore[import-untyped]  # It ships no types.
import pytest
from google.protobuf.json_format import MessageToDict
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import User, UserUpdate

from server.call import Call, begin
from server.errors import ProfileTooLarge, WriteOutcomeUnknown
from server.group import GroupedProfileStore
from server.model import Application, Kind, Lookup, Profile, ProfileWrite, Scope
from server.plan import profile_id
from server.service import UserService
from server.status import status_from_error
from server.store.profiles import Outcome

_METHODS = pb.DESCRIPTOR.services_by_name["UserService"].methods_by_name
_NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
_APPLICATION = Application("app", Kind.MANAGEMENT, frozenset({Scope.ADMIN}))


class FakeProfileStore:
    """Keeps what it was given; answers what it is told."""

    def __init__(self) -> None:
        self.applied: list[list[ProfileWrite]] = []
        self.outcomes: list[Outcome] = []
        self.profiles: dict[str, Profile] = {}
        self.lookups: list[Lookup] = []

    async def apply(self, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        self.applied.append(list(writes))
        return self.outcomes or [None] * len(writes)

    async def find(self, profile_id: str) -> Profile | None:
        return self.profiles.get(profile_id)

    async def remove_alias(self, profile_id: str, alias: bytes) -> bool | None:
        return None

    async def look_up(self, lookup: Lookup) -> tuple[Sequence[Profile], bool]:
        self.lookups.append(lookup)
        return list(self.profiles.values()), True


class Synchronous:
    """The adapter: the service's methods as grpcio-testing calls them."""

    def __init__(self, service: UserService) -> None:
        self._service = service
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._service, name)

        def call(request: object, context: grpc.ServicerContext) -> object:
            return self._runner.run(_serve(method, request, context))

        return call

    def close(self) -> None:
        self._runner.close()


class Context:
    """What the service asks of a call's context."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def peer(self) -> str:
        return self._peer


async def _serve(method: Any, request: object, context: Any) -> Any:
    """Call a method as the server does once the caller may call it."""
    begin(Call(_APPLICATION, context.invocation_metadata()))
    return await method(request, context)


@pytest.fixture
def store() -> FakeProfileStore:
    return FakeProfileStore()


@pytest.fixture
def service(store: FakeProfileStore) -> UserService:
    return UserService(GroupedProfileStore(store), lambda: int(_NOW.timestamp() * 1000) * 1_000_000)


@pytest.fixture
def testing(service: UserService) -> Iterator[Any]:
    adapter = Synchronous(service)
    descriptor = pb.DESCRIPTOR.services_by_name["UserService"]
    yield grpc_testing.server_from_dictionary({descriptor: adapter}, grpc_testing.strict_real_time())
    adapter.close()


def _call(testing: Any, method: str, request: object) -> Any:
    # grpcio-testing's context has no peer to ask for an address.
    metadata = (("x-userfold-client-address", "192.0.2.1"),)
    response, _, code, _ = testing.invoke_unary_unary(_METHODS[method], metadata, request, None).termination()
    assert code is grpc.StatusCode.OK
    return response


async def test_an_update_is_planned_at_the_time_of_the_clock(service: UserService, store: FakeProfileStore) -> None:
    request: Any = pb.UpdateUserRequest(user=UserUpdate(user_id="u"))
    context: Any = Context("ipv6:%5B2001:db8::1%5D:4711")
    assert await _serve(service.UpdateUser, request, context) == pb.UpdateUserResponse()
    ((write,),) = store.applied
    assert write.profile_id == profile_id("app", "u")
    assert write.on_insert["created_time"] == _NOW
    assert write.patch == {"modified_time": _NOW, "modified_nanos": 0, "observed_ip_address": "2001:db8::1"}


@pytest.mark.parametrize("peer", ["unix:", "unix:/run/userfold.sock", "ipv4:nonsense"])
async def test_a_peer_without_an_address_is_not_observed(
    service: UserService, store: FakeProfileStore, peer: str
) -> None:
    request: Any = pb.UpdateUserRequest(user=UserUpdate(user_id="u"))
    context: Any = Context(peer)
    await _serve(service.UpdateUser, request, context)
    assert "observed_ip_address" not in store.applied[0][0].patch


async def test_what_the_store_says_of_one_update_is_raised(service: UserService, store: FakeProfileStore) -> None:
    store.outcomes = [WriteOutcomeUnknown()]
    request: Any = pb.UpdateUserRequest(user=UserUpdate(user_id="u"))
    context: Any = Context("ipv4:127.0.0.1:1")
    with pytest.raises(WriteOutcomeUnknown):
        await _serve(service.UpdateUser, request, context)


async def test_what_the_store_says_of_a_batch_goes_to_the_update_it_is_of(
    service: UserService, store: FakeProfileStore
) -> None:
    store.outcomes = [None, ProfileTooLarge(), WriteOutcomeUnknown()]
    users = [UserUpdate(user_id="a"), UserUpdate(), UserUpdate(user_id="b"), UserUpdate(user_id="c")]
    request: Any = pb.BatchUpdateUsersRequest(users=users)
    context: Any = Context("ipv4:127.0.0.1:1")
    results = (await _serve(service.BatchUpdateUsers, request, context)).results
    assert [write.profile_id for write in store.applied[0]] == [profile_id("app", user_id) for user_id in "abc"]
    assert [result.HasField("status") for result in results] == [False, True, True, True]
    assert results[2].status == status_from_error(ProfileTooLarge())
    assert results[3].status == status_from_error(WriteOutcomeUnknown())


def test_a_look_up_is_planned_and_answered_whole(testing: Any, store: FakeProfileStore) -> None:
    store.profiles[profile_id("app", "u")] = Profile(
        user_id="u", created_time=_NOW, modified_time=0, metadata={}, alias_count=0
    )
    answer = _call(testing, "LookupUsers", pb.LookupUsersRequest(company_id="c"))
    assert ([user.user_id for user in answer.users], answer.has_more) == (["u"], True)
    assert store.lookups == [Lookup("app", "company_id", "c", 100)]


def test_a_profile_is_answered_whole(testing: Any, store: FakeProfileStore) -> None:
    store.profiles[profile_id("app", "u")] = Profile(
        user_id="u",
        created_time=_NOW,
        modified_time=1_000_000_002,
        metadata={"a": {"b": [1, None, "x", {}]}},
        alias_count=3,
        company_id="c",
        ip_address="1.2.3.4",
        user_agent_string="UA",
        user_agent={
            "browser": {"name": "Firefox", "version": "121.0"},
            "os": {"name": "Linux"},
            "device": {"name": "Thing", "brand": "Acme", "model": "T1"},
        },
        campaign={"utm_source": "google"},
        initial_campaign={"utm_source": "bing"},
        anonymous_id="anon",
        avatar_url="https://example.com/a",
        email_domain="acme.com",
        company_domain="acme.com",
    )
    user: User = _call(testing, "GetUser", pb.GetUserRequest(user_id="u")).user
    assert {field.name for field, _ in user.ListFields()} == {field.name for field in User.DESCRIPTOR.fields}
    assert (user.modified_time.seconds, user.modified_time.nanos) == (1, 2)
    assert user.created_time.ToDatetime(tzinfo=UTC) == _NOW
    assert user.user_agent.device.model == "T1"
    assert user.user_agent.os.name == "Linux"
    assert not user.user_agent.os.HasField("version")
    assert MessageToDict(user.metadata) == {"a": {"b": [1, None, "x", {}]}}


def test_an_empty_batch_asks_nothing_of_the_store(testing: Any, store: FakeProfileStore) -> None:
    assert not _call(testing, "BatchUpdateUsers", pb.BatchUpdateUsersRequest()).results
    assert store.applied == []
