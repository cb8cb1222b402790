import asyncio
import re

import pytest

from server.authentication import Authenticator
from server.credentials import (
    Credential,
    credential_from_metadata,
    digest,
    generate_application_id,
    generate_collector_key,
    generate_management_token,
)
from server.errors import CredentialMissing, CredentialUnknown, DatabaseUnavailable
from server.model import Application

_COLLECTOR = [("x-moesif-application-id", "key")]


class FakeApplications:
    """Keeps what it was asked; `known` may change under way."""

    def __init__(self) -> None:
        self.known: dict[Credential, str] = {Credential(digest("key"), may_read=False): "app"}
        self.asked: list[Credential] = []
        self.available = True

    async def find(self, credential: Credential) -> Application | None:
        self.asked.append(credential)
        await asyncio.sleep(0)
        if not self.available:
            raise DatabaseUnavailable
        application_id = self.known.get(credential)
        return None if application_id is None else Application(application_id, credential.may_read)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_look_up_is_used_again_for_thirty_seconds_and_no_longer() -> None:
    applications, clock = FakeApplications(), Clock()
    authenticator = Authenticator(applications, clock)
    for clock.now in (1000.0, 1029.9):
        assert await authenticator.authenticate(_COLLECTOR) == Application("app", may_read=False)
    assert len(applications.asked) == 1
    applications.known.clear()
    clock.now = 1030.0
    with pytest.raises(CredentialUnknown):
        await authenticator.authenticate(_COLLECTOR)


async def test_a_new_application_is_known_soon_after_it_was_tried_too_early() -> None:
    applications, clock = FakeApplications(), Clock()
    known, applications.known = applications.known, {}
    authenticator = Authenticator(applications, clock)
    with pytest.raises(CredentialUnknown):
        await authenticator.authenticate(_COLLECTOR)
    applications.known = known
    clock.now += 3
    assert await authenticator.authenticate(_COLLECTOR)


async def test_calls_that_come_together_share_one_look_up() -> None:
    applications = FakeApplications()
    authenticator = Authenticator(applications, Clock())
    await asyncio.gather(*(authenticator.authenticate(_COLLECTOR) for _ in range(50)))
    assert len(applications.asked) == 1


async def test_a_failed_look_up_is_not_kept() -> None:
    applications = FakeApplications()
    applications.available = False
    authenticator = Authenticator(applications, Clock())
    with pytest.raises(DatabaseUnavailable):
        await authenticator.authenticate(_COLLECTOR)
    applications.available = True
    assert await authenticator.authenticate(_COLLECTOR)


async def test_a_flood_of_unknown_keys_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.authentication._MOST", 10)
    authenticator = Authenticator(FakeApplications(), Clock())
    for number in range(100):
        with pytest.raises(CredentialUnknown):
            await authenticator.authenticate([("x-moesif-application-id", f"unknown-{number}")])
    assert len(authenticator._cache) == 10


async def test_a_caller_that_goes_away_does_not_end_the_look_up_of_others() -> None:
    applications = FakeApplications()
    authenticator = Authenticator(applications, Clock())
    first = asyncio.ensure_future(authenticator.authenticate(_COLLECTOR))
    second = asyncio.ensure_future(authenticator.authenticate(_COLLECTOR))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Application("app", may_read=False)


@pytest.mark.parametrize(
    ("metadata", "secret", "may_read"),
    [
        ([("x-moesif-application-id", "a key with blanks")], "a key with blanks", False),
        ([("authorization", "Bearer token")], "token", True),
        ([("authorization", "bearer   token ")], "token", True),
        ([("x-moesif-application-id", "key"), ("authorization", "Bearer token")], "token", True),
        ([("x-moesif-application-id", "key"), ("authorization", "Basic eA==")], "key", False),
        ([("other", "x"), ("x-moesif-application-id", "key"), ("user-agent", "y")], "key", False),
    ],
)
def test_a_credential_is_taken_from_two_headers(
    metadata: list[tuple[str, str | bytes]], secret: str, may_read: bool
) -> None:
    assert credential_from_metadata(metadata) == Credential(digest(secret), may_read)


@pytest.mark.parametrize("metadata", [[], [("authorization", "Basic eA==")], [("x-moesif-application-id", " ")]])
def test_a_call_without_a_credential_is_refused(metadata: list[tuple[str, str | bytes]]) -> None:
    with pytest.raises(CredentialMissing):
        credential_from_metadata(metadata)


def test_generated_credentials_fit_every_client() -> None:
    for secret in (generate_collector_key(), generate_management_token()):
        assert re.fullmatch(r"[A-Za-z0-9_-]{50,}", secret)
    assert re.fullmatch(r"[0-9a-f]{16}", generate_application_id())
