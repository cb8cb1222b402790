"""The methods of the internal UserUpdateService and CompanyUpdateService, which gateways call."""

from userfold.internal.v1 import company_update_service_pb2, user_update_service_pb2

from server.rpc.call import Call
from server.services.updates.update_methods import UpdateMethods


class UserUpdateService:
    """Serves `userfold.internal.v1.UserUpdateService`. `rpc/methods` has each request of its stream served as a call of
    BatchUpdateUsers.
    """

    def __init__(self, updates: UpdateMethods) -> None:
        self._updates = updates

    async def BatchUpdateUsers(
        self, request: user_update_service_pb2.BatchUpdateUsersRequest, call: Call
    ) -> user_update_service_pb2.BatchUpdateUsersResponse:
        response = user_update_service_pb2.BatchUpdateUsersResponse()
        await self._updates.update_batch_of_json(request, call, response.results)
        return response


class CompanyUpdateService:
    """Serves `userfold.internal.v1.CompanyUpdateService` in the same way."""

    def __init__(self, updates: UpdateMethods) -> None:
        self._updates = updates

    async def BatchUpdateCompanies(
        self, request: company_update_service_pb2.BatchUpdateCompaniesRequest, call: Call
    ) -> company_update_service_pb2.BatchUpdateCompaniesResponse:
        response = company_update_service_pb2.BatchUpdateCompaniesResponse()
        await self._updates.update_batch_of_json(request, call, response.results)
        return response
