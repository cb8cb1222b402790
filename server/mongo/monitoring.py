"""Metrics of the driver: its commands and its pools of connections.

The driver calls these listeners in its own threads.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pymongo import monitoring

from runtime.metrics.durations import ManyHistogram
from runtime.reporting import traces
from server import metrics

if TYPE_CHECKING:
    from runtime.reporting.spans import Span, Tracer

_COMMANDS: Final = frozenset(
    {
        *("aggregate", "collMod", "count", "create", "createIndexes", "delete", "dropIndexes", "find"),
        *("findAndModify", "getMore", "insert", "killCursors", "listIndexes", "ping", "update"),
    }
)
"""Commands that have a label of their own."""

_CLIENT: Final = traces.Kind.CLIENT


class Commands(monitoring.CommandListener):
    """Observes how long commands take."""

    def __init__(self) -> None:
        self._durations: dict[tuple[str, str], ManyHistogram] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing is observed."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Observe a command that MongoDB responded to. It may have refused single writes in it."""
        self._observe(event.command_name, "ok", event.duration_micros)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Observe a command that MongoDB refused, or that got no response."""
        self._observe(event.command_name, "error", event.duration_micros)

    def _observe(self, command: str, outcome: str, micros: int) -> None:
        durations = self._durations.get((command, outcome))
        if durations is None:
            name = command if command in _COMMANDS else "other"
            durations = self._durations[command, outcome] = metrics.COMMANDS.labels(name, outcome)
        durations.add(micros / 1_000_000)


class Spans(monitoring.CommandListener):
    """Makes each command a span, a child of the one that the current task works for. Those of no task have none."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer
        self._spans: dict[int, Span] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Begin a span, without any value of the command."""
        parent = traces.PARENT.get()
        if not parent or not traces.is_sampled(parent):
            return
        name = event.command_name
        collection = event.command.get("collection") if name == "getMore" else event.command.get(name)
        attributes = {"db.system.name": "mongodb", "db.operation.name": name, "db.namespace": event.database_name}
        if isinstance(collection, str):
            attributes["db.collection.name"] = collection
        span = self._tracer.start(f"{name} {attributes.get('db.collection.name', '')}".strip(), _CLIENT, parent)
        span.set(attributes)
        self._spans[event.request_id] = span

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """End the span."""
        if span := self._spans.pop(event.request_id, None):
            span.end()

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """End the span with the name of MongoDB's error, or of the driver's."""
        if span := self._spans.pop(event.request_id, None):
            span.end(str(event.failure.get("codeName") or event.failure.get("errtype") or "failed"))


class Pools(monitoring.ConnectionPoolListener):
    """Counts the connections of all pools, and observes how long operations wait for one."""

    def __init__(self) -> None:
        self._idle = metrics.MONGODB_CONNECTIONS.labels("idle")
        self._in_use = metrics.MONGODB_CONNECTIONS.labels("in_use")

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        self._idle.inc()

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        self._idle.dec()

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        self._idle.dec()
        self._in_use.inc()
        metrics.CHECKOUT_WAIT.add(event.duration or 0.0)

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        self._in_use.dec()
        self._idle.inc()

    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        metrics.CHECKOUT_FAILURES.labels(event.reason).inc()

    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None:
        metrics.POOLS_CLEARED.inc()

    def _ignore(self, event: Any) -> None:
        """Nothing is observed."""

    connection_check_out_started = connection_ready = _ignore
    pool_created = pool_ready = pool_closed = _ignore


def listeners() -> Sequence[Any]:
    """New listeners of one client: the driver's option `event_listeners`."""
    tracer = traces.active()
    return [Commands(), Pools(), *([Spans(tracer)] if tracer else [])]
