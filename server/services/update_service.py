"""The methods of the internal UserUpdateService, which gateways call."""

from userfold.internal.v1 import user_update_service_pb2 as pb

from server.rpc.call import Call
from server.services.batch_updates import BatchUpdater, json_objects
from server.services.dry_runs.updates import UpdateDryRuns


class UserUpdateService:
    """Serves `userfold.internal.v1.UserUpdateService`. `rpc/methods` has each request of its stream served as a call of
    BatchUpdateUsers.
    """

    def __init__(self, updater: BatchUpdater, dry_runs: UpdateDryRuns) -> None:
        self._updater = updater
        self._dry_runs = dry_runs

    async def BatchUpdateUsers(self, request: pb.BatchUpdateUsersRequest, call: Call) -> pb.BatchUpdateUsersResponse:
        if request.validate_only:
            response = pb.BatchUpdateUsersResponse()
            await self._dry_runs.update_batch(json_objects(request.users_json), call, response.results)
            return response
        if len(request.origins) == len(request.users_json):
            call.origins, call.client_addresses = request.origins, request.client_addresses
        updates = json_objects(request.users_json)
        response = pb.BatchUpdateUsersResponse()
        await self._updater.update(updates, request.client_addresses, call, response.results)
        return response
