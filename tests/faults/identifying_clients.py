"""Clients whose users visit before they sign in, and visit again on the same browser."""

from collections.abc import Sequence
from typing import Any

from userfold.v1 import user_service_pb2 as pb

from tests.faults.clients import GrpcSingle, message_of
from tests.faults.history import Operation, Outcome


class Identifying(GrpcSingle):
    """`UpdateUser`, of a user in turns with the anonymous id alone, which is the same text, and with both.

    So the first operation is stored in a visitor's profile, the second one makes the visitor the user, and the later
    ones with the anonymous id alone are redirected. All of them must be in one of the two profiles, and none in both.
    """

    async def _call(self, operations: Sequence[Operation], outcomes: list[Outcome], **options: Any) -> None:
        (operation,) = operations
        message = message_of(operation)
        message.anonymous_id = operation.user_id
        if operation.counter % 2:
            message.user_id = ""
        await self._stub.UpdateUser(pb.UpdateUserRequest(user=message), **options)
        outcomes[0] = Outcome.ACKNOWLEDGED
