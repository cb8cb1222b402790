"""When credentials were used last: collected at look-ups, and stored for many together."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.accounts.credentials import StoredCredential, issue
from server.commit import credential_usage
from server.commit.credential_usage import CredentialUsage
from server.errors import WriteOutcomeUnknown
from server.model import CredentialKind

_NOW = datetime(2026, 1, 2, tzinfo=UTC)


class _Store:
    """Records what is stored, and when."""

    def __init__(self) -> None:
        self.stored: list[tuple[list[bytes], datetime]] = []
        self.is_failing = False
        self.has_stored = asyncio.Event()

    async def note_used(self, digests: Sequence[bytes], now: datetime) -> None:
        self.stored.append((sorted(digests), now))
        self.has_stored.set()
        if self.is_failing:
            raise WriteOutcomeUnknown


def _credential(secret: str, last_used_time: datetime | None = None) -> StoredCredential:
    return replace(issue("app", CredentialKind.COLLECTOR, secret, _NOW), last_used_time=last_used_time)


@pytest.fixture
def store() -> _Store:
    return _Store()


@pytest.fixture
def usage(store: _Store, monkeypatch: pytest.MonkeyPatch) -> CredentialUsage:
    monkeypatch.setattr(credential_usage, "WRITE_SECONDS", 0.01)
    return CredentialUsage(store.note_used, _NOW.timestamp)


async def test_many_credentials_are_stored_in_one_write(usage: CredentialUsage, store: _Store) -> None:
    credentials = [_credential(secret) for secret in ("a", "b")]
    for credential in credentials * 3:
        usage.note(credential)
    assert store.stored == []
    await store.has_stored.wait()
    assert store.stored == [(sorted(each.digest for each in credentials), _NOW)]


async def test_a_use_within_the_hour_is_not_stored_again(usage: CredentialUsage, store: _Store) -> None:
    usage.note(_credential("recent", _NOW - timedelta(minutes=59)))
    usage.note(_credential("old", _NOW - timedelta(minutes=61)))
    await usage.finished()
    assert store.stored == [([_credential("old").digest], _NOW)]


async def test_what_is_collected_is_stored_before_the_end_and_a_failure_does_no_harm(
    usage: CredentialUsage, store: _Store
) -> None:
    store.is_failing = True
    usage.note(_credential("a"))
    await usage.finished()
    assert len(store.stored) == 1
    await usage.finished()
    assert len(store.stored) == 1
    # The next look-up finds no time, and notes it again.
    store.is_failing = False
    usage.note(_credential("a"))
    await usage.finished()
    assert len(store.stored) == 2
