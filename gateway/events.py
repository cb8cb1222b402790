"""The events of the gateway's log, for operators."""

from collections.abc import Mapping
from typing import Final

from runtime.reporting import events
from runtime.reporting.events import Event

EVENTS: Final[Mapping[str, Event]] = {
    **events.EVENTS,
    "server unavailable": Event(
        "no server can be reached, or none can do its work, for two seconds; the gateway is not ready",
        "as `fault` says: start a server at `grpc`, or look at the log of the servers; `ready again` follows",
    ),
    "ready again": Event("a server can do its work again, and the gateway serves"),
    "not stored": Event(
        "an application sends events, actions or subscriptions, which are accepted and not stored",
        "turn that off in the application's client library, unless the calls do no harm",
    ),
}
"""All events, by the first word of their lines."""
