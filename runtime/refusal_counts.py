"""Counts refusals and warnings by application and kind, and passes the counts on from time to time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

SECONDS: Final = 2.0
"""How long refusals are counted before the counts are passed on."""

PAUSE_SECONDS: Final = 20.0
"""The same after counts could not be passed on."""

LAST_SECONDS: Final = 2.0
"""How long the last counts may take when the program ends."""

KINDS: Final = 20
"""Kinds of one application that are counted apart. Refusals of further kinds are counted by their reason alone."""

REASONS: Final = 100
"""Kinds of one application, those by reason alone included. Refusals of further ones are not counted."""

APPLICATIONS: Final = 1_000
"""Applications whose refusals are counted at the same time. Those of further ones are not counted."""


class RefusalKind(NamedTuple):
    """Refusals, or warnings, that are counted together. Nothing here is a value that a caller sent.

    `method` is a method over gRPC, or a route over HTTP. `fields` are pairs of a name of the schema and the reason of
    the field. `client_library` is as `client_library()` returns it.
    """

    reason: str
    is_warning: bool
    method: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    client_library: str = ""


@dataclass(slots=True)
class Occurrences:
    """How often something happened, first and last when: in seconds since 1970-01-01 UTC."""

    count: int
    first_time: float
    last_time: float

    def add(self, other: "Occurrences") -> None:
        """Add occurrences of the same kind."""
        self.count += other.count
        self.first_time = min(self.first_time, other.first_time)
        self.last_time = max(self.last_time, other.last_time)


Counts: TypeAlias = dict[RefusalKind, Occurrences]
"""The refusals of one application."""


class RefusalCounts:
    """Counts refusals, and passes the counts to `send` a while after the first one.

    `send` receives the counts of each application, and returns those that it could not pass on: they are kept, and
    passed on later. One call of it is in flight at a time, so a flood of refusals costs no more than a few. No
    application takes room from another one. `now` returns seconds since 1970-01-01 UTC. Belongs to the running event
    loop.
    """

    def __init__(
        self, send: Callable[[Mapping[str, Counts]], Awaitable[Mapping[str, Counts]]], now: Callable[[], float]
    ) -> None:
        self._send = send
        self._now = now
        self._counts: dict[str, Counts] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    def add(self, application_id: str, kind: RefusalKind, count: int = 1) -> None:
        """Count `count` refusals of a kind, which happened now."""
        now = self._now()
        self._add(application_id, kind, Occurrences(count, now, now))
        if self._timer is None and self._sending is None:
            self._send_after(SECONDS)

    def add_all(self, application_id: str, counts: Counts) -> None:
        """Count refusals that another program has counted."""
        for kind, occurrences in counts.items():
            self._add(application_id, kind, occurrences)
        if counts and self._timer is None and self._sending is None:
            self._send_after(SECONDS)

    @property
    def pending(self) -> int:
        """The number of kinds, of all applications, whose counts are yet to be passed on."""
        return sum(map(len, self._counts.values()))

    async def finished(self) -> None:
        """Pass the counts on now, if that succeeds soon. To be called before the program ends."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                if self._sending is not None:
                    await self._sending
                self._start()
                if self._sending is not None:
                    await self._sending
        except TimeoutError:
            pass
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _add(self, application_id: str, kind: RefusalKind, occurrences: Occurrences) -> None:
        counts = self._counts.get(application_id)
        if counts is None:
            if len(self._counts) >= APPLICATIONS:
                return
            counts = self._counts[application_id] = {}
        counted = counts.get(kind)
        if counted is None and len(counts) >= KINDS:
            kind = RefusalKind(kind.reason, kind.is_warning)
            counted = counts.get(kind)
            if counted is None and len(counts) >= REASONS:
                return
        if counted is None:
            counts[kind] = occurrences
        else:
            counted.add(occurrences)

    def _send_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._counts and self._sending is None:
            self._sending = asyncio.create_task(self._send_counts())

    async def _send_counts(self) -> None:
        counts, self._counts = self._counts, {}
        unsent: Mapping[str, Counts] = counts
        try:
            unsent = await self._send(counts)
        finally:
            self._sending = None
            for application_id, kept in unsent.items():
                for kind, occurrences in kept.items():
                    self._add(application_id, kind, occurrences)
            if self._counts:
                self._send_after(PAUSE_SECONDS if unsent else SECONDS)
