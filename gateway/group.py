"""The requests of several clients in one RPC, each with its own outcome: as if it had gone alone."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import grpc
from google.rpc import code_pb2

from gateway import encode
from gateway.bindings import CLIENT_ADDRESSES, Group
from gateway.channel import Channel
from gateway.gather import Full, Gatherer, Limits, NotAnsweredInTime, NotSentInTime
from gateway.status import Refusal, refusal, refusal_from_rpc, with_fields_renamed

Credentials: TypeAlias = tuple[tuple[str, str], ...]
"""Metadata that says who calls. Only what has the same travels together."""

_ASKED_IN_VAIN: Final = {
    Full: "OVERLOADED",
    NotSentInTime: "NOT_SENT_IN_TIME",
    NotAnsweredInTime: "WRITE_OUTCOME_UNKNOWN",
}


class GroupCall:
    """Calls the RPC of a group. Each body has `limits.seconds` from its arrival."""

    def __init__(self, group: Group, channel: Channel, limits: Limits) -> None:
        self._group = group
        self._gatherer: Gatherer[Credentials, tuple[int, Any]] = Gatherer(self._send, limits)
        # It sends bytes as they are: messages behind each other are one message, their repeated fields joined.
        self._call = channel.unary_unary(
            group.rpc, request_serializer=bytes, response_deserializer=group.response.FromString
        )

    async def warnings(self, credentials: Credentials, body: Any, client_address: str) -> list[dict[str, Any]]:
        """The server's warnings, as plain values, about one body: a message or the arguments of one.

        Raises Refusal, also for what the whole group is refused for.
        """
        request = self._group.request(**{self._group.items: [body], CLIENT_ADDRESSES: [client_address]})
        try:
            index, result = await self._gatherer.result(credentials, request.SerializeToString())
        except (Full, NotSentInTime, NotAnsweredInTime) as error:
            raise refusal(_ASKED_IN_VAIN[type(error)]) from None
        except grpc.aio.AioRpcError as error:
            raise refusal_from_rpc(error, is_write=True) from None
        prefix = f"{self._group.items}[{index}]."
        if result.status.code != code_pb2.OK:
            raise Refusal(with_fields_renamed(result.status, lambda path: path.removeprefix(prefix)))
        told = [encode.plain(warning) for warning in result.warnings]
        return [warning | {"field": warning["field"].removeprefix(prefix)} for warning in told]

    async def _send(
        self, credentials: Credentials, requests: Sequence[bytes], seconds: float
    ) -> Sequence[tuple[int, Any]]:
        response: Any = await self._call(b"".join(requests), timeout=seconds, metadata=credentials)
        results = list(enumerate(response.results))
        if len(results) != len(requests):
            raise ValueError("not one result for each item")
        return results
