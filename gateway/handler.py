"""What a connection asks of the application."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from gateway.answer import Answer
from gateway.request import Request
from gateway.status import Refusal

Respond: TypeAlias = Callable[[Answer], None]


class Handler(Protocol):
    """What answers requests."""

    def body_limit(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> int | None:
        """The most bytes that the body of such a request may have as it is sent; None where too much is under way."""

    def handle(self, request: Request, respond: Respond) -> Callable[[], object] | None:
        """Answer a request. Must call `respond` once, at any time. What is returned is called if the client goes."""

    def turn_away(self, respond: Respond) -> None:
        """Answer a request for which too much is under way. Must call `respond` once, at any time."""

    def stop(self) -> None:
        """Be no longer ready."""

    async def finished(self) -> None:
        """Wait until nothing is under way, also of clients that have gone."""

    def refuse(self, refused: Refusal, respond: Respond) -> None:
        """Answer what is no request to be handled. Must call `respond` at once."""
