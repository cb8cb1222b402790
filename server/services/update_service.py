"""The methods of the internal UserUpdateService, which gateways call."""

from userfold.internal.v1 import user_update_service_pb2 as pb

from server.rpc.call import Call
from server.services.batch_updates import BatchUpdater, json_objects


class UserUpdateService:
    """Serves `userfold.internal.v1.UserUpdateService`. `rpc/methods` has each request of its stream served as a call of
    BatchUpdateUsers.
    """

    def __init__(self, updater: BatchUpdater) -> None:
        self._updater = updater

    async def BatchUpdateUsers(self, request: pb.BatchUpdateUsersRequest, call: Call) -> pb.BatchUpdateUsersResponse:
        call.refuse_validate_only(request)
        updates = json_objects(request.users_json)
        response = pb.BatchUpdateUsersResponse()
        await self._updater.update(updates, request.client_addresses, call, response.results)
        return response
