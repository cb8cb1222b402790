"""The methods of the internal UserUpdateService, which gateways call."""

from typing import Any

import grpc
from userfold.internal.v1 import user_update_service_pb2 as pb

from server.rpc.call import address_of_client, current_call
from server.services.batches import Batches

Context = grpc.aio.ServicerContext[Any, Any]


class UserUpdateService:
    """Serves `userfold.internal.v1.UserUpdateService`, whose stream `dispatch` serves as calls of its one method."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    async def BatchUpdateUsers(
        self, request: pb.BatchUpdateUsersRequest, context: Context
    ) -> pb.BatchUpdateUsersResponse:
        call = current_call()
        observed = address_of_client(call.metadata, context.peer)
        response = pb.BatchUpdateUsersResponse()
        await self._batches.update(request.users, request.client_addresses, observed, call, response.results)
        return response
