"""The requests of several clients in one RPC, each with its own outcome: as if it had gone alone."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import grpc
from google.rpc import code_pb2

from gateway import encode
from gateway.bindings import CLIENT_ADDRESSES, Group
from gateway.channel import Channel
from gateway.exchange import Credentials, Exchange
from gateway.gather import Full, Gatherer, Limits, NotAnsweredInTime, NotSentInTime
from gateway.status import Refusal, refusal, refusal_from_rpc, with_fields_renamed

_Outcome: TypeAlias = tuple[int, Any]
"""An item's place in its group, and its result."""

Warned: TypeAlias = Callable[[list[dict[str, Any]] | Exception], object]
"""What is told the server's warnings, as plain values; or a Refusal, or a defect."""

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
        self._gatherer: Gatherer[Credentials, _Outcome] = Gatherer(self._send, limits)
        self._exchange = Exchange(group, channel)

    def send(
        self, credentials: Credentials, octets: int, decode: Callable[[], Any], client_address: str, warned: Warned
    ) -> None:
        """Send one body of so many octets, and tell the server's warnings about it.

        `decode` answers the arguments of a message; it is called when the group leaves, and what it raises is told. A
        Refusal may also be what the whole group is refused for. Raises one where too many wait.
        """

        def make() -> bytes:
            request = self._group.request(**{self._group.items: [decode()], CLIENT_ADDRESSES: [client_address]})
            return bytes(request.SerializeToString())

        try:
            self._gatherer.submit(credentials, octets, make, functools.partial(self._settle, warned))
        except Full:
            raise refusal("OVERLOADED") from None

    def _settle(self, warned: Warned, outcome: _Outcome | Exception) -> None:
        try:
            told = self._told(outcome)
        except Exception as error:
            told = error
        warned(told)

    def _told(self, outcome: _Outcome | Exception) -> list[dict[str, Any]] | Exception:
        if isinstance(outcome, NotSentInTime | NotAnsweredInTime):
            return refusal(_ASKED_IN_VAIN[type(outcome)])
        if isinstance(outcome, grpc.aio.AioRpcError):
            return refusal_from_rpc(outcome, is_write=True)
        if isinstance(outcome, Exception):
            # The same for all of a group. Raised again for each, its traceback would grow with every one.
            return outcome
        index, result = outcome
        if not result.ByteSize():
            return []
        prefix = f"{self._group.items}[{index}]."
        if result.status.code != code_pb2.OK:
            return Refusal(with_fields_renamed(result.status, lambda path: path.removeprefix(prefix)))
        told = [encode.plain(warning) for warning in result.warnings]
        return [warning | {"field": warning["field"].removeprefix(prefix)} for warning in told]

    async def _send(self, credentials: Credentials, requests: Sequence[bytes], seconds: float) -> Sequence[_Outcome]:
        # Messages behind each other are one message, their repeated fields joined.
        response: Any = await self._exchange.send(credentials, b"".join(requests), seconds)
        results = list(enumerate(response.results))
        if len(results) != len(requests):
            raise ValueError("not one result for each item")
        return results
