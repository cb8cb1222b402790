"""Authentication: which application the credential of a call belongs to."""

import asyncio
import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Protocol

from server.accounts.credentials import Credential, StoredCredential
from server.accounts.scopes import granted
from server.errors import CredentialUnknown, Overloaded
from server.model import Application
from server.rpc.credential_cache import CredentialCache

LOOKUPS: Final = 1000
"""Credentials that wait to be looked up: so many known ones and so many unknown ones. More are refused."""

LOOKUPS_PER_QUERY: Final = 200


class Credentials(Protocol):
    """Where credentials are stored."""

    async def find_all(self, digests: Sequence[bytes]) -> Sequence[StoredCredential]:
        """The credentials with these digests, in any order, also those that have expired."""


def _ignore(_: StoredCredential) -> None:
    pass


class Authenticator:
    """Finds the application of a credential: in the cache, else in the database.

    Known credentials are looked up again apart from unknown ones, so that a flood of made-up credentials neither delays
    nor refuses the applications that are being served. `clock` returns seconds from any starting point; `now` returns
    those since 1970-01-01 UTC. `note_use` is called with each credential that was looked up for a call and is valid.
    Belongs to the running event loop.
    """

    def __init__(
        self,
        credentials: Credentials,
        clock: Callable[[], float],
        now: Callable[[], float],
        note_use: Callable[[StoredCredential], object] = _ignore,
    ) -> None:
        self.clock = clock
        self.cache = CredentialCache(clock)
        self._now = now
        self._note_use = note_use
        self._lookups_of_known = _Lookups(credentials)
        self._lookups_of_unknown = _Lookups(credentials)
        self._in_flight: dict[Credential, asyncio.Task[Application | None]] = {}

    async def authenticate(self, credential: Credential) -> Application:
        """The application of a credential. Raises CredentialUnknown, Overloaded or DatabaseUnavailable."""
        application = self.cache.application_of(credential)
        if application is None and not self.cache.is_unknown(credential):
            application = await self._look_up(credential)
        if application is None:
            raise CredentialUnknown
        return application

    async def _look_up(self, credential: Credential) -> Application | None:
        # Calls with the same credential share one look-up. It is shielded: a caller that goes away does not cancel it
        # for the remaining calls.
        task = self._in_flight.get(credential)
        if task is None:
            is_known = self.cache.known(credential) is not None
            lookups = self._lookups_of_known if is_known else self._lookups_of_unknown
            found = lookups.find(credential)
            task = self._in_flight[credential] = asyncio.create_task(self._cached(credential, self.clock(), found))
            task.add_done_callback(lambda done: self._end(credential, done))
        return await asyncio.shield(task)

    def _end(self, credential: Credential, task: "asyncio.Task[Application | None]") -> None:
        del self._in_flight[credential]
        if not task.cancelled():
            # Retrieved here too, because every caller may have gone away.
            task.exception()

    async def _cached(
        self, credential: Credential, looked_up: float, found: "asyncio.Future[StoredCredential | None]"
    ) -> Application | None:
        stored = await found
        if stored is not None and stored.kind is credential.kind and (seconds := self._seconds_left(stored)) > 0:
            application = Application(stored.application_id, stored.kind, granted(stored.scopes), stored.credential_id)
            self.cache.add_known(credential, application, looked_up, seconds)
            self._note_use(stored)
            return application
        self.cache.add_unknown(credential, looked_up)
        return None

    def _seconds_left(self, stored: StoredCredential) -> float:
        return math.inf if stored.expire_time is None else stored.expire_time.timestamp() - self._now()


class _Lookups:
    """Looks credentials up, one query at a time. Those that arrive during a query share the next one."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._waiting: dict[Credential, asyncio.Future[StoredCredential | None]] = {}
        self._count = 0
        self._querying: asyncio.Task[None] | None = None

    def find(self, credential: Credential) -> "asyncio.Future[StoredCredential | None]":
        """What is stored under a credential's digest; the future may raise DatabaseUnavailable. Raises Overloaded."""
        if self._count >= LOOKUPS:
            raise Overloaded
        found: asyncio.Future[StoredCredential | None] = asyncio.get_running_loop().create_future()
        self._waiting[credential] = found
        self._count += 1
        if self._querying is None:
            self._querying = asyncio.create_task(self._query())
        return found

    async def _query(self) -> None:
        try:
            while self._waiting:
                credentials = list(islice(self._waiting, LOOKUPS_PER_QUERY))
                futures = {credential: self._waiting.pop(credential) for credential in credentials}
                try:
                    stored = await self._credentials.find_all([credential.digest for credential in futures])
                except Exception as error:
                    for future in futures.values():
                        future.set_exception(error)
                else:
                    by_digest = {each.digest: each for each in stored}
                    for credential, future in futures.items():
                        future.set_result(by_digest.get(credential.digest))
                self._count -= len(futures)
        finally:
            self._querying = None
