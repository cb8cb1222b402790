"""When credentials were used last: stored a while after, for many credentials together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from server.accounts.credentials import StoredCredential
from server.errors import UserfoldError

PERIOD_SECONDS: Final = 3600.0
"""How old the time that is stored may be before a use is stored again."""

WRITE_SECONDS: Final = 5.0
"""How long uses are collected before they are written."""

_LAST_SECONDS: Final = 2.0
_CAPACITY: Final = 10_000
"""Credentials that are collected: as many as are cached."""


class CredentialUsage:
    """Collects credentials that are used, and passes them to `store` with the time.

    A server looks up a credential that is used every 30 seconds, and finds when it was used last by any server: so it
    has nothing to do for an update, and writes once a period at most. A use that could not be stored is stored after a
    later look-up. `now` returns seconds since 1970-01-01 UTC. Belongs to the running event loop.
    """

    def __init__(self, store: Callable[[Sequence[bytes], datetime], Awaitable[None]], now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._used: set[bytes] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def note(self, credential: StoredCredential) -> None:
        """Note that a credential, which was looked up just now, is used."""
        last = credential.last_used_time
        if last is not None and self._now() - last.timestamp() < PERIOD_SECONDS:
            return
        if len(self._used) < _CAPACITY:
            self._used.add(credential.digest)
        if self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._start)

    async def finished(self) -> None:
        """Store what is collected now, if that succeeds soon. To be called before the program ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                if self._writing is not None:
                    await self._writing
                self._start()
                if self._writing is not None:
                    await self._writing

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._used:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        used, self._used = self._used, set()
        try:
            with suppress(UserfoldError):
                await self._store(list(used), datetime.fromtimestamp(self._now(), UTC))
        finally:
            self._writing = None
            if self._used:
                self._timer = asyncio.get_running_loop().call_later(WRITE_SECONDS, self._start)
