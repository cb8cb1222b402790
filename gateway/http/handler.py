"""What a connection needs of the application."""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Protocol, TypeAlias

from gateway.http.messages import Rejection, Request, Response

Respond: TypeAlias = Callable[[Response], None]


class Body(Enum):
    """What a connection does with the body of a request."""

    KEPT = auto()
    """It reads the body, up to `body_limit` bytes, and passes it to `handle`."""
    DISCARDED = auto()
    """It reads as many bytes and discards them: `handle` gets an empty body."""
    UNWANTED = auto()
    """The request is refused already: the body is discarded, and awaited for a short time only."""


class Exchange(Protocol):
    """One request and its response, begun by the head of the request. A connection closes where one raises."""

    @property
    def body(self) -> Body:
        """What to do with the request's body."""

    @property
    def body_limit(self) -> int:
        """The limit of the body, in bytes as they are sent."""

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer the request, whose body has been read. Must call `respond` once, at any time."""

    def abandon(self) -> None:
        """The client has gone: the response is no longer needed."""


class Handler(Protocol):
    """The application."""

    def begin(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> Exchange:
        """Begin the exchange of a request with this head."""

    def reject(self, rejection: Rejection) -> Exchange:
        """Begin the exchange of a request that the connection refuses. `handle` must respond before it returns."""

    def turn_away(self, respond: Respond) -> None:
        """Refuse a request because there is no room. Must call `respond` once, at any time."""

    def stop(self) -> None:
        """Report that the gateway is no longer ready."""

    async def finished(self) -> None:
        """Wait until no request is in flight, those of clients that have gone included."""
