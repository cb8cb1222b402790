"""Clients that send conditional updates, each together with a rival of the same user through the other server."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import grpc
from userfold.v1 import user_service_pb2 as pb

from tests.faults.clients import Traffic, TwoServers, message_of
from tests.faults.history import Operation, Outcome
from tests.support.applications import Application

_HEAD_STARTS: Final = (0.0, 0.1, 0.3, 0.6)
"""Seconds that a rival waits, round by round. A conditional update may wait for other slow writes, and would always be
second."""


class Conditional(TwoServers):
    """`UpdateUser` with the etag of a user that was just read, and without one through another server.

    A round is a conditional update and its rival. An update that is sent again has the same etag.
    """

    def __init__(self, number: int, application: Application, traffic: Traffic) -> None:
        super().__init__(number, application, traffic)
        self._etags: dict[str, str] = {}

    async def _call(self, operations: Sequence[Operation], outcomes: list[Outcome], **options: Any) -> None:
        conditional = operations[0]
        # What is sent again is the same: also an update that was sent without an etag, since there was no user.
        if conditional.counter % 2 and conditional.token not in self._etags:
            await self._read(conditional)
        await asyncio.gather(*(self._send_one(index, each, outcomes, options) for index, each in enumerate(operations)))

    async def _read(self, operation: Operation) -> None:
        """Make an operation conditional. A user who is not stored yet has no etag."""
        try:
            response = await self._stub.GetUser(
                pb.GetUserRequest(user_id=operation.user_id), metadata=self._manager, timeout=5
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            self._etags[operation.token] = ""
        else:
            self._etags[operation.token] = response.user.etag
            operation.base = response.user.alias_count

    async def _send_one(
        self, index: int, operation: Operation, outcomes: list[Outcome], options: dict[str, Any]
    ) -> None:
        is_rival = not operation.counter % 2
        operation.is_rival = is_rival
        message = message_of(operation)
        message.etag = self._etags.get(operation.token, "")
        if is_rival:
            message.metadata_json = b'{"rival":%d}' % operation.counter
            await asyncio.sleep(_HEAD_STARTS[operation.counter // 2 % len(_HEAD_STARTS)])
        await self._update(self._other if is_rival else self._stub, message, outcomes, index, options)
