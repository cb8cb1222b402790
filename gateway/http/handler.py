"""What a connection asks of the application."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.errors.answer import Answer
from gateway.errors.rendering import Refusal
from gateway.http.request import Request

Respond: TypeAlias = Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class Discard:
    """The body of a request is read, up to `limit` bytes as it is sent, and not kept: its request has an empty one."""

    limit: int


BodyRule: TypeAlias = int | Discard | Refusal | None
"""What to do with the body of a request: keep it, up to so many bytes as it is sent; discard it; refuse the request
when its body has passed; or, for None, turn it away, since too much is under way."""


class Handler(Protocol):
    """What answers requests."""

    def body_rule(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> BodyRule:
        """What to do with the body of such a request, told by its head alone."""

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
