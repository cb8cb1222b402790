"""Which application a call belongs to, with the look-ups cached, and whether its credential may do what it asks."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from server.accounts.credentials import Credential, StoredCredential
from server.accounts.scopes import granted
from server.errors import CredentialUnknown, Overloaded
from server.model import Application

# How long an answer may be used again, in seconds: a revoked credential works no longer than the first, and a new
# one, tried before it was there, waits no longer than the second.
KNOWN_FOR = 30.0
_UNKNOWN_FOR = 3.0

# Each of the two caches holds so many. They are apart: unknown credentials, which anybody can make up, push out none
# that is known.
_MOST = 10_000

LOOK_UPS = 1000
"""Credentials that wait to be looked up, of those that are known and of the others each. More are refused at once."""

DIGESTS = 200
"""Credentials that are looked up in one query."""


_Value = TypeVar("_Value")


class Credentials(Protocol):
    """Where credentials are found."""

    async def find_all(self, digests: Sequence[bytes]) -> Sequence[StoredCredential]:
        """The credentials with these digests, in any order, whether they have expired or not."""


class Known(NamedTuple):
    """A credential that was found: until when it need not be looked up again, and whose it is."""

    until: float
    application: Application


class Authenticator:
    """Finds the application of a credential.

    Credentials that were found before are looked up again apart from all others, so that a flood of made-up ones
    neither delays nor refuses applications that are being served. `clock` counts seconds from any point on, as
    time.monotonic does; `now` counts them since 1970-01-01 UTC. Belongs to the running event loop.
    """

    def __init__(self, credentials: Credentials, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self.clock = clock
        self._now = now
        self._known: OrderedDict[Credential, Known] = OrderedDict()
        self._unknown_until: OrderedDict[Credential, float] = OrderedDict()
        self._look_ups_of_known = _LookUps(credentials)
        self._look_ups = _LookUps(credentials)
        self._under_way: dict[Credential, asyncio.Task[Application | None]] = {}

    def known(self, credential: Credential) -> Known | None:
        """What was found of a credential, however long ago: what its call takes counts for that application."""
        return self._known.get(credential)

    def recognized(self, credential: Credential) -> Application | None:
        """The application of a credential that need not be looked up now."""
        known = self._known.get(credential)
        return known.application if known is not None and known.until > self.clock() else None

    async def authenticate(self, credential: Credential) -> Application:
        """The application of a credential. Raises CredentialUnknown, Overloaded or DatabaseUnavailable."""
        application = self.recognized(credential)
        if application is None and self._unknown_until.get(credential, 0.0) <= self.clock():
            application = await self._find(credential)
        if application is None:
            raise CredentialUnknown
        return application

    async def _find(self, credential: Credential) -> Application | None:
        # One look-up for all calls that wait for it; a caller that goes away does not end the others' look-up.
        task = self._under_way.get(credential)
        if task is None:
            look_ups = self._look_ups_of_known if credential in self._known else self._look_ups
            found = look_ups.find(credential)
            task = self._under_way[credential] = asyncio.create_task(self._kept(credential, self.clock(), found))
            task.add_done_callback(lambda done: self._finished(credential, done))
        return await asyncio.shield(task)

    def _finished(self, credential: Credential, task: "asyncio.Task[Application | None]") -> None:
        del self._under_way[credential]
        if not task.cancelled():
            task.exception()  # Seen, even where every caller has gone away.

    async def _kept(
        self, credential: Credential, asked: float, found: "asyncio.Future[StoredCredential | None]"
    ) -> Application | None:
        stored = await found
        if stored is not None and stored.kind is credential.kind and (left := self._seconds_left(stored)) > 0:
            application = Application(stored.application_id, stored.kind, granted(stored.scopes))
            self._unknown_until.pop(credential, None)
            _keep(self._known, credential, Known(asked + min(KNOWN_FOR, left), application))
            return application
        self._known.pop(credential, None)
        _keep(self._unknown_until, credential, asked + _UNKNOWN_FOR)
        return None

    def _seconds_left(self, stored: StoredCredential) -> float:
        return KNOWN_FOR if stored.expire_time is None else stored.expire_time.timestamp() - self._now()


def _keep(cache: OrderedDict[Credential, _Value], credential: Credential, value: _Value) -> None:
    cache[credential] = value
    cache.move_to_end(credential)
    if len(cache) > _MOST:
        cache.popitem(last=False)


class _LookUps:
    """Looks credentials up, those that arrive meanwhile together in the next query: there is one at a time."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._waiting: dict[Credential, asyncio.Future[StoredCredential | None]] = {}
        self._count = 0
        self._querying: asyncio.Task[None] | None = None

    def find(self, credential: Credential) -> "asyncio.Future[StoredCredential | None]":
        """What is stored under a credential's digest, or DatabaseUnavailable. Raises Overloaded where too many wait."""
        if self._count >= LOOK_UPS:
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
                asked = {each: self._waiting.pop(each) for each in list(islice(self._waiting, DIGESTS))}
                try:
                    stored = await self._credentials.find_all([each.digest for each in asked])
                except Exception as error:
                    for future in asked.values():
                        future.set_exception(error)
                else:
                    found = {each.digest: each for each in stored}
                    for credential, future in asked.items():
                        future.set_result(found.get(credential.digest))
                self._count -= len(asked)
        finally:
            self._querying = None
