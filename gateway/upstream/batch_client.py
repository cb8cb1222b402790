"""The requests of several clients in one RPC, each with its own outcome: as if it had gone alone."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import grpc

from gateway.errors.rendering import refusal, refusal_from_rpc
from gateway.routing.batch_methods import CLIENT_ADDRESSES, Group
from gateway.upstream.batcher import Full, Gatherer, Limits, NotAnsweredInTime, NotSentInTime
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller
from gateway.upstream.result import is_plain, outcome_of
from gateway.upstream.stream_pool import Exchange

_Body: TypeAlias = tuple[Any, str, Caller]
"""The arguments of a message, the address of the client that it came from, and who sent it."""

_Outcome: TypeAlias = tuple[int, Any]
"""An item's place in its group's message, and its result."""

Answered: TypeAlias = Callable[[dict[str, Any] | Exception], object]
"""Is called with the members of the response that are not empty; or with a Refusal, or a defect."""

_ASKED_IN_VAIN: Final = {
    NotSentInTime: "NOT_SENT_IN_TIME",
    NotAnsweredInTime: "WRITE_OUTCOME_UNKNOWN",
}


class GroupCall:
    """Calls the RPC of a group, for those with the same credentials together. Each body has `limits.seconds` from its
    arrival.
    """

    def __init__(self, group: Group, channel: Channel, limits: Limits) -> None:
        self._group = group
        self._gatherer: Gatherer[bytes, _Body, _Outcome] = Gatherer(self._send, limits)
        self._exchange = Exchange(group, channel)

    def send(
        self, caller: Caller, octets: int, decode: Callable[[], Any], client_address: str, answered: Answered
    ) -> None:
        """Send one body of so many octets, and tell the server's warnings about it.

        `decode` answers the arguments of a message; it is called when the group leaves, and what it raises is told. A
        Refusal may also be what the whole group is refused for. Raises one where too many wait.
        """

        def make() -> _Body:
            return decode(), client_address, caller

        try:
            self._gatherer.submit(caller.digest, octets, make, functools.partial(self._settle, answered))
        except Full:
            raise refusal("OVERLOADED") from None

    def _settle(self, answered: Answered, outcome: _Outcome | Exception) -> None:
        try:
            told = self._told(outcome)
        except Exception as error:
            told = error
        answered(told)

    def _told(self, outcome: _Outcome | Exception) -> dict[str, Any] | Exception:
        if isinstance(outcome, NotSentInTime | NotAnsweredInTime):
            return refusal(_ASKED_IN_VAIN[type(outcome)])
        if isinstance(outcome, grpc.aio.AioRpcError):
            return refusal_from_rpc(outcome, is_write=True)
        if isinstance(outcome, Exception):
            # The same for all of a group. Raised again for each, its traceback would grow with every one.
            return outcome
        index, result = outcome
        if is_plain(result):
            return {}
        prefix = f"{self._group.items}[{index}]."
        return outcome_of(result, lambda path: path.removeprefix(prefix))

    async def _send(self, _: bytes, bodies: Sequence[_Body], seconds: float) -> Sequence[_Outcome | Exception]:
        defects: Mapping[int, Exception] = {}
        try:
            # All at once takes half as long as each alone.
            text = self._text(bodies)
        except Exception:
            text, defects = self._text_of_good(bodies)
        response: Any = await self._exchange.send(bodies[0][2], text, seconds)
        if len(response.results) + len(defects) != len(bodies):
            raise ValueError("not one result for each item")
        results = enumerate(response.results)
        return [defects[index] if index in defects else next(results) for index in range(len(bodies))]

    def _text(self, bodies: Sequence[_Body]) -> bytes:
        """The message of a group."""
        items, addresses, _ = zip(*bodies, strict=True)
        return self._group.request(**{self._group.items: items, CLIENT_ADDRESSES: addresses}).SerializeToString()

    def _text_of_good(self, bodies: Sequence[_Body]) -> tuple[bytes, Mapping[int, Exception]]:
        """The message of those that one can be made of, and by their places what is wrong with the others."""
        texts: list[bytes] = []
        defects: dict[int, Exception] = {}
        for index, body in enumerate(bodies):
            try:
                texts.append(self._text([body]))
            except Exception as defect:
                defects[index] = defect
        # Messages behind each other are one message, their repeated fields joined.
        return b"".join(texts), defects
