import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import server.accounts.credentials
from server.accounts.credentials import (
    HEADER_CHARACTERS,
    Credential,
    StoredCredential,
    credential_from_metadata,
    digest,
    generate_application_id,
    generate_collector_key,
    generate_management_token,
)
from server.accounts.scopes import Need, require
from server.errors import (
    CredentialAmbiguous,
    CredentialMissing,
    CredentialUnknown,
    DatabaseUnavailable,
    Overloaded,
    ScopeMissing,
)
from server.model import Application, CredentialKind, Scope
from server.rpc.authentication import LOOKUPS, LOOKUPS_PER_QUERY, Authenticator
from server.rpc.credential_cache import _keep

_COLLECTOR = [("x-moesif-application-id", "key")]
_TOKEN = [("authorization", "Bearer token")]
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)

_KEY = StoredCredential(
    digest("key"), "c0", "app", CredentialKind.COLLECTOR, "", frozenset({Scope.WRITE_USERS}), created_time=_CREATED
)
_READER = StoredCredential(
    digest("token"),
    "c1",
    "app",
    CredentialKind.MANAGEMENT,
    "support",
    frozenset({Scope.READ_USERS}),
    created_time=_CREATED,
)


class FakeCredentials:
    """Records the queries. A test may change `known`."""

    def __init__(self, *known: StoredCredential) -> None:
        self.known = {stored.digest: stored for stored in known or (_KEY,)}
        self.queries: list[Sequence[bytes]] = []
        self.available = True
        self.may_respond = asyncio.Event()
        self.may_respond.set()

    async def find_all(self, digests: Sequence[bytes]) -> Sequence[StoredCredential]:
        self.queries.append(digests)
        await self.may_respond.wait()
        await asyncio.sleep(0)
        if not self.available:
            raise DatabaseUnavailable
        return [self.known[digest] for digest in digests if digest in self.known]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _authenticator(credentials: FakeCredentials, clock: Clock | None = None) -> Authenticator:
    """An authenticator on whose clock the credentials were created at 1000."""
    clock = clock or Clock()
    return Authenticator(credentials, clock, lambda: _CREATED.timestamp() + clock.now - 1000)


async def _found(authenticator: Authenticator, metadata: Iterable[tuple[str, str | bytes]]) -> Application:
    return await authenticator.authenticate(credential_from_metadata(metadata))


def _made_up(number: int) -> list[tuple[str, str]]:
    return [("x-moesif-application-id", f"unknown-{number}")]


async def test_a_credential_is_cached_for_thirty_seconds_and_no_longer() -> None:
    credentials, clock = FakeCredentials(), Clock()
    authenticator = _authenticator(credentials, clock)
    for clock.now in (1000.0, 1029.9):
        assert await _found(authenticator, _COLLECTOR) == Application(
            "app", CredentialKind.COLLECTOR, frozenset({Scope.WRITE_USERS}), "c0"
        )
    assert len(credentials.queries) == 1
    credentials.known.clear()
    clock.now = 1030.0
    with pytest.raises(CredentialUnknown):
        await _found(authenticator, _COLLECTOR)


async def test_a_credential_that_expires_while_it_is_cached_is_unknown_from_then_on() -> None:
    credentials, clock = FakeCredentials(replace(_READER, expire_time=_CREATED + timedelta(seconds=10))), Clock()
    authenticator = _authenticator(credentials, clock)
    for clock.now in (1000.0, 1009.9):
        assert (await _found(authenticator, _TOKEN)).scopes == {Scope.READ_USERS}
    for clock.now in (1010.0, 1012.9, 1040.0):
        with pytest.raises(CredentialUnknown):
            await _found(authenticator, _TOKEN)
    assert len(credentials.queries) == 3


async def test_a_later_expiry_does_not_extend_the_time_in_the_cache() -> None:
    credentials, clock = FakeCredentials(replace(_READER, expire_time=_CREATED + timedelta(days=1))), Clock()
    authenticator = _authenticator(credentials, clock)
    for clock.now in (1000.0, 1029.9):
        await _found(authenticator, _TOKEN)
    credentials.known.clear()
    clock.now = 1030.0
    with pytest.raises(CredentialUnknown):
        await _found(authenticator, _TOKEN)


@pytest.mark.parametrize(
    "metadata", [[("x-moesif-application-id", "token")], [("authorization", "Bearer key")]], ids=["token", "key"]
)
async def test_a_credential_is_unknown_in_the_header_of_the_other_kind(metadata: list[tuple[str, str | bytes]]) -> None:
    with pytest.raises(CredentialUnknown):
        await _found(_authenticator(FakeCredentials(_KEY, _READER)), metadata)


async def test_a_credential_allows_what_its_scopes_allow_and_nothing_else() -> None:
    reader = await _found(_authenticator(FakeCredentials(_READER)), _TOKEN)
    require(Need(Scope.READ_USERS), reader)
    with pytest.raises(ScopeMissing) as missing:
        require(Need(Scope.WRITE_USERS, collector_key=True), reader)
    assert missing.value.scope is Scope.WRITE_USERS


async def test_a_new_credential_that_was_used_too_early_works_after_three_seconds() -> None:
    credentials, clock = FakeCredentials(), Clock()
    known, credentials.known = credentials.known, {}
    authenticator = _authenticator(credentials, clock)
    with pytest.raises(CredentialUnknown):
        await _found(authenticator, _COLLECTOR)
    credentials.known = known
    clock.now += 3
    assert await _found(authenticator, _COLLECTOR)


async def test_concurrent_calls_with_one_credential_share_one_look_up() -> None:
    credentials = FakeCredentials()
    authenticator = _authenticator(credentials)
    await asyncio.gather(*(_found(authenticator, _COLLECTOR) for _ in range(50)))
    assert len(credentials.queries) == 1


async def test_a_failed_look_up_is_not_cached() -> None:
    credentials = FakeCredentials()
    credentials.available = False
    authenticator = _authenticator(credentials)
    with pytest.raises(DatabaseUnavailable):
        await _found(authenticator, _COLLECTOR)
    credentials.available = True
    assert await _found(authenticator, _COLLECTOR)


async def test_a_flood_of_unknown_keys_is_bounded_and_displaces_no_known_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.rpc.credential_cache._CAPACITY", 10)
    credentials = FakeCredentials()
    authenticator = _authenticator(credentials)
    await _found(authenticator, _COLLECTOR)
    for number in range(100):
        with pytest.raises(CredentialUnknown):
            await _found(authenticator, _made_up(number))
    assert len(authenticator.cache._unknown_until) == 10
    credentials.queries.clear()
    await _found(authenticator, _COLLECTOR)
    assert credentials.queries == []


def test_the_cache_holds_the_latest_10_000_credentials() -> None:
    cache: OrderedDict[Credential, float] = OrderedDict()
    made_up = [credential_from_metadata(_made_up(number)) for number in range(10_001)]
    for credential in (*made_up[:10_000], made_up[0], made_up[10_000]):
        _keep(cache, credential, 0.0)
    assert len(cache) == 10_000
    assert [credential in cache for credential in (made_up[0], made_up[1], made_up[2])] == [True, False, True]


async def test_unknown_credentials_are_looked_up_in_queries_of_200_and_at_most_1000_wait() -> None:
    credentials = FakeCredentials()
    authenticator = _authenticator(credentials)
    credentials.may_respond.clear()
    calls = [asyncio.ensure_future(_found(authenticator, _made_up(number))) for number in range(1200)]
    for call in calls[1000:]:
        with pytest.raises(Overloaded):
            await call
    assert [len(digests) for digests in credentials.queries] == [200]
    credentials.may_respond.set()
    for call in calls[:1000]:
        with pytest.raises(CredentialUnknown):
            await call
    assert [len(digests) for digests in credentials.queries] == [200] * 5


async def test_a_known_credential_does_not_wait_for_unknown_ones_when_it_is_looked_up_again() -> None:
    credentials, clock = FakeCredentials(), Clock()
    authenticator = _authenticator(credentials, clock)
    await _found(authenticator, _COLLECTOR)
    clock.now += 30
    credentials.may_respond.clear()
    flood = [asyncio.ensure_future(_found(authenticator, _made_up(number))) for number in range(LOOKUPS)]
    await asyncio.sleep(0)
    again = asyncio.ensure_future(_found(authenticator, _COLLECTOR))
    for _ in range(3):
        await asyncio.sleep(0)
    # It has a query of its own, concurrent with the first one of the flood.
    assert [len(digests) for digests in credentials.queries[1:]] == [LOOKUPS_PER_QUERY, 1]
    credentials.may_respond.set()
    assert (await again).application_id == "app"
    await asyncio.gather(*flood, return_exceptions=True)


async def test_a_caller_that_goes_away_does_not_cancel_the_look_up_for_the_remaining_calls() -> None:
    credentials = FakeCredentials()
    authenticator = _authenticator(credentials)
    first = asyncio.ensure_future(_found(authenticator, _COLLECTOR))
    second = asyncio.ensure_future(_found(authenticator, _COLLECTOR))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Application("app", CredentialKind.COLLECTOR, frozenset({Scope.WRITE_USERS}), "c0")


@pytest.mark.parametrize(
    ("metadata", "secret", "kind"),
    [
        ([("x-moesif-application-id", "a key with blanks")], "a key with blanks", CredentialKind.COLLECTOR),
        ([("authorization", "Bearer token")], "token", CredentialKind.MANAGEMENT),
        ([("authorization", "bearer   token ")], "token", CredentialKind.MANAGEMENT),
        ([("x-moesif-application-id", "key"), ("authorization", "Bearer token")], "token", CredentialKind.MANAGEMENT),
        ([("x-moesif-application-id", "key"), ("authorization", "Basic eA==")], "key", CredentialKind.COLLECTOR),
        ([("other", "x"), ("x-moesif-application-id", "key"), ("user-agent", "y")], "key", CredentialKind.COLLECTOR),
    ],
)
def test_a_credential_is_read_from_either_header(
    metadata: list[tuple[str, str | bytes]], secret: str, kind: CredentialKind
) -> None:
    assert credential_from_metadata(metadata) == Credential(kind, digest(secret))


@pytest.mark.parametrize(
    "metadata",
    [
        [("x-moesif-application-id", "key"), ("x-moesif-application-id", "key")],
        [("x-moesif-application-id", ""), ("x-moesif-application-id", "key")],
        [("authorization", "Bearer token"), ("authorization", "Bearer token")],
        [("authorization", "Basic eA=="), ("x-moesif-application-id", "key"), ("authorization", "Bearer token")],
    ],
)
def test_a_credential_that_is_sent_twice_is_refused(metadata: list[tuple[str, str | bytes]]) -> None:
    with pytest.raises(CredentialAmbiguous):
        credential_from_metadata(metadata)


@pytest.mark.parametrize("name", ["x-moesif-application-id", "authorization"])
def test_a_header_that_is_longer_than_any_credential_is_not_hashed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.accounts.credentials.digest", None)
    with pytest.raises(CredentialUnknown):
        credential_from_metadata([(name, "Bearer " + " " * HEADER_CHARACTERS)])


def test_no_function_caches_secrets() -> None:
    assert not [value for value in vars(server.accounts.credentials).values() if hasattr(value, "cache_info")]


@pytest.mark.parametrize("metadata", [[], [("authorization", "Basic eA==")], [("x-moesif-application-id", " ")]])
def test_a_call_without_a_credential_is_refused(metadata: list[tuple[str, str | bytes]]) -> None:
    with pytest.raises(CredentialMissing):
        credential_from_metadata(metadata)


def test_generated_credentials_fit_every_client() -> None:
    for secret in (generate_collector_key(), generate_management_token()):
        assert re.fullmatch(r"[A-Za-z0-9_-]{50,}", secret)
    assert re.fullmatch(r"[0-9a-f]{16}", generate_application_id())
