"""Which application a call belongs to, with the look-ups cached, and whether its credential may do what it asks."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from server.call import Metadata
from server.credentials import Credential, StoredCredential, credential_from_metadata
from server.errors import CredentialUnknown
from server.model import Application
from server.scopes import Need, granted, require

# How long an answer may be used again, in seconds: a revoked credential works no longer than the first, and a new
# one, tried before it was there, waits no longer than the second.
_KNOWN_FOR = 30.0
_UNKNOWN_FOR = 3.0

# Unknown credentials are cached too, so a flood of them must not fill the memory.
_MOST = 10_000


class Credentials(Protocol):
    """Where credentials are found."""

    async def find(self, digest: bytes) -> StoredCredential | None:
        """The credential with this digest, whether it has expired or not."""


class Authenticator:
    """Finds the application of a call by its credentials in the metadata, and by nothing else.

    `clock` counts seconds from any point on, as time.monotonic does; `now` counts them since 1970-01-01 UTC.
    """

    def __init__(self, credentials: Credentials, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._credentials = credentials
        self._clock = clock
        self._now = now
        self._cache: OrderedDict[Credential, tuple[float, Application | None]] = OrderedDict()
        self._under_way: dict[Credential, asyncio.Task[Application | None]] = {}

    async def authorize(self, metadata: Metadata, need: Need) -> Application:
        """The application of a call whose credential is what its method needs.

        Raises ScopeMissing, and what `authenticate` raises.
        """
        application = await self.authenticate(metadata)
        require(need, application)
        return application

    async def authenticate(self, metadata: Metadata) -> Application:
        """The application of a call. Raises CredentialMissing, CredentialUnknown or DatabaseUnavailable."""
        credential = credential_from_metadata(metadata)
        until, application = self._cache.get(credential, (0.0, None))
        if until <= self._clock():
            application = await self._find(credential)
        if application is None:
            raise CredentialUnknown
        return application

    async def _find(self, credential: Credential) -> Application | None:
        # One look-up for all calls that wait for it; a caller that goes away does not end the others' look-up.
        task = self._under_way.get(credential)
        if task is None:
            task = self._under_way[credential] = asyncio.create_task(self._look_up(credential))
            task.add_done_callback(lambda done: self._finished(credential, done))
        return await asyncio.shield(task)

    def _finished(self, credential: Credential, task: "asyncio.Task[Application | None]") -> None:
        del self._under_way[credential]
        if not task.cancelled():
            task.exception()  # Seen, even where every caller has gone away.

    async def _look_up(self, credential: Credential) -> Application | None:
        asked = self._clock()
        stored = await self._credentials.find(credential.digest)
        application, seconds = None, _UNKNOWN_FOR
        if stored is not None and stored.kind is credential.kind and (left := self._seconds_left(stored)) > 0:
            application = Application(stored.application_id, stored.kind, granted(stored.scopes))
            seconds = min(_KNOWN_FOR, left)
        self._cache[credential] = (asked + seconds, application)
        self._cache.move_to_end(credential)
        if len(self._cache) > _MOST:
            self._cache.popitem(last=False)
        return application

    def _seconds_left(self, stored: StoredCredential) -> float:
        return _KNOWN_FOR if stored.expire_time is None else stored.expire_time.timestamp() - self._now()
