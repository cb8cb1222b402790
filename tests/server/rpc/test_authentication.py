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
    """Keeps what it was asked; `known` may change under way."""

    def __init__(self, *known: StoredCredential) -> None:
        self.known = {each.digest: each for each in known or (_KEY,)}
        self.asked: list[Sequence[bytes]] = []
        self.available = True
        self.answers = asyncio.Event()
        self.answers.set()

    async def find_all(self, digests: Sequence[bytes]) -> Sequence[StoredCredential]:
        self.asked.append(digests)
        await self.answers.wait()
        await asyncio.sleep(0)
        if not self.available:
            raise DatabaseUnavailable
        return [self.known[digest] for digest in digests if digest in self.known]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _authenticator(credentials: FakeCredentials, clock: Clock | None = None) -> Authenticator:
    """One for which the credentials were created at 1000 on its clock."""
    clock = clock or Clock()
    return Authenticator(credentials, clock, lambda: _CREATED.timestamp() + clock.now - 1000)


async def _found(authenticator: Authenticator, metadata: Iterable[tuple[str, str | bytes]]) -> Application:
    return await authenticator.authenticate(credential_from_metadata(metadata))


def _made_up(number: int) -> list[tuple[str, str]]:
    return [("x-moesif-application-id", f"unknown-{number}")]


async def test_a_look_up_is_used_again_for_thirty_seconds_and_no_longer() -> None:
    credentials, clock = FakeCredentials(), Clock()
    authenticator = _authenticator(credentials, clock)
    for clock.now in (1000.0, 1029.9):
        assert await _found(authenticator, _COLLECTOR) == Application(
            "app", CredentialKind.COLLECTOR, frozenset({Scope.WRITE_USERS})
        )
    assert len(credentials.asked) == 1
    credentials.known.clear()
    clock.now = 1030.0
    with pytest.raises(CredentialUnknown):
        await _found(authenticator, _COLLECTOR)


async def test_a_credential_that_expires_while_it_is_in_use_works_no_longer_and_is_as_one_that_never_was() -> None:
    credentials, clock = FakeCredentials(replace(_READER, expire_time=_CREATED + timedelta(seconds=10))), Clock()
    authenticator = _authenticator(credentials, clock)
    for clock.now in (1000.0, 1009.9):
        assert (await _found(authenticator, _TOKEN)).scopes == {Scope.READ_USERS}
    for clock.now in (1010.0, 1012.9, 1040.0):
        with pytest.raises(CredentialUnknown):
            await _found(authenticator, _TOKEN)
    assert len(credentials.asked) == 3


async def test_a_credential_that_ends_later_is_looked_up_as_often_as_any() -> None:
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
async def test_a_credential_is_unknown_where_the_other_kind_is_sent(metadata: list[tuple[str, str | bytes]]) -> None:
    with pytest.raises(CredentialUnknown):
        await _found(_authenticator(FakeCredentials(_KEY, _READER)), metadata)


async def test_a_credential_may_do_what_its_scopes_say_and_nothing_else() -> None:
    reader = await _found(_authenticator(FakeCredentials(_READER)), _TOKEN)
    require(Need(Scope.READ_USERS), reader)
    with pytest.raises(ScopeMissing) as missing:
        require(Need(Scope.WRITE_USERS, collector_key=True), reader)
    assert missing.value.scope is Scope.WRITE_USERS


async def test_a_new_application_is_known_soon_after_it_was_tried_too_early() -> None:
    credentials, clock = FakeCredentials(), Clock()
    known, credentials.known = credentials.known, {}
    authenticator = _authenticator(credentials, clock)
    with pytest.raises(CredentialUnknown):
        await _found(authenticator, _COLLECTOR)
    credentials.known = known
    clock.now += 3
    assert await _found(authenticator, _COLLECTOR)


async def test_calls_that_come_together_share_one_look_up() -> None:
    credentials = FakeCredentials()
    authenticator = _authenticator(credentials)
    await asyncio.gather(*(_found(authenticator, _COLLECTOR) for _ in range(50)))
    assert len(credentials.asked) == 1


async def test_a_failed_look_up_is_not_kept() -> None:
    credentials = FakeCredentials()
    credentials.available = False
    authenticator = _authenticator(credentials)
    with pytest.raises(DatabaseUnavailable):
        await _found(authenticator, _COLLECTOR)
    credentials.available = True
    assert await _found(authenticator, _COLLECTOR)


async def test_a_flood_of_unknown_keys_fills_no_memory_and_pushes_no_known_one_out(
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
    credentials.asked.clear()
    await _found(authenticator, _COLLECTOR)
    assert credentials.asked == []


def test_10_000_credentials_are_kept_and_the_last_ones() -> None:
    cache: OrderedDict[Credential, float] = OrderedDict()
    made_up = [credential_from_metadata(_made_up(number)) for number in range(10_001)]
    for credential in (*made_up[:10_000], made_up[0], made_up[10_000]):
        _keep(cache, credential, 0.0)
    assert len(cache) == 10_000
    assert [each in cache for each in (made_up[0], made_up[1], made_up[2])] == [True, False, True]


async def test_unknown_credentials_are_looked_up_together_and_so_many_at_most() -> None:
    credentials = FakeCredentials()
    authenticator = _authenticator(credentials)
    credentials.answers.clear()
    calls = [asyncio.ensure_future(_found(authenticator, _made_up(number))) for number in range(1200)]
    for call in calls[1000:]:
        with pytest.raises(Overloaded):
            await call
    assert [len(digests) for digests in credentials.asked] == [200]
    credentials.answers.set()
    for call in calls[:1000]:
        with pytest.raises(CredentialUnknown):
            await call
    assert [len(digests) for digests in credentials.asked] == [200] * 5


async def test_a_known_credential_waits_for_no_unknown_one_when_it_is_looked_up_again() -> None:
    credentials, clock = FakeCredentials(), Clock()
    authenticator = _authenticator(credentials, clock)
    await _found(authenticator, _COLLECTOR)
    clock.now += 30
    credentials.answers.clear()
    flood = [asyncio.ensure_future(_found(authenticator, _made_up(number))) for number in range(LOOKUPS)]
    await asyncio.sleep(0)
    again = asyncio.ensure_future(_found(authenticator, _COLLECTOR))
    for _ in range(3):
        await asyncio.sleep(0)
    # In a query of its own, beside the first one of the flood.
    assert [len(digests) for digests in credentials.asked[1:]] == [LOOKUPS_PER_QUERY, 1]
    credentials.answers.set()
    assert (await again).application_id == "app"
    await asyncio.gather(*flood, return_exceptions=True)


async def test_a_caller_that_goes_away_does_not_end_the_look_up_of_others() -> None:
    credentials = FakeCredentials()
    authenticator = _authenticator(credentials)
    first = asyncio.ensure_future(_found(authenticator, _COLLECTOR))
    second = asyncio.ensure_future(_found(authenticator, _COLLECTOR))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Application("app", CredentialKind.COLLECTOR, frozenset({Scope.WRITE_USERS}))


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
def test_a_credential_is_taken_from_two_headers(
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


def test_nothing_keeps_the_secrets_of_calls() -> None:
    assert not [each for each in vars(server.accounts.credentials).values() if hasattr(each, "cache_info")]


@pytest.mark.parametrize("metadata", [[], [("authorization", "Basic eA==")], [("x-moesif-application-id", " ")]])
def test_a_call_without_a_credential_is_refused(metadata: list[tuple[str, str | bytes]]) -> None:
    with pytest.raises(CredentialMissing):
        credential_from_metadata(metadata)


def test_generated_credentials_fit_every_client() -> None:
    for secret in (generate_collector_key(), generate_management_token()):
        assert re.fullmatch(r"[A-Za-z0-9_-]{50,}", secret)
    assert re.fullmatch(r"[0-9a-f]{16}", generate_application_id())
