"""Which application a call belongs to, with the look-ups cached."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol

from server.credentials import Credential, credential_from_metadata
from server.errors import CredentialUnknown
from server.model import Application

# How long an answer may be used again, in seconds: a withdrawn credential works no longer than the first, and a new
# one, tried before it was there, waits no longer than the second.
_KNOWN_FOR = 30.0
_UNKNOWN_FOR = 3.0

# Unknown credentials are cached too, so a flood of them must not fill the memory.
_MOST = 10_000


class Applications(Protocol):
    """Where applications are found."""

    async def find(self, credential: Credential) -> Application | None:
        """The application that a credential belongs to."""


class Authenticator:
    """Finds the application of a call by its credentials in the metadata, and by nothing else.

    `clock` counts seconds from any point on, as time.monotonic does.
    """

    def __init__(self, applications: Applications, clock: Callable[[], float]) -> None:
        self._applications = applications
        self._clock = clock
        self._cache: OrderedDict[Credential, tuple[float, Application | None]] = OrderedDict()
        self._under_way: dict[Credential, asyncio.Task[Application | None]] = {}

    async def authenticate(self, metadata: Iterable[tuple[str, str | bytes]]) -> Application:
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
        application = await self._applications.find(credential)
        self._cache[credential] = (asked + (_UNKNOWN_FOR if application is None else _KNOWN_FOR), application)
        self._cache.move_to_end(credential)
        if len(self._cache) > _MOST:
            self._cache.popitem(last=False)
        return application
