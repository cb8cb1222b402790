"""The methods of CompanyService: translate, plan, store, translate back."""

from collections.abc import AsyncIterable, AsyncIterator, Callable

from userfold.v1 import company_service_pb2 as pb

from runtime.turns import Turns
from server.errors import CompanyNotFound, UserfoldError
from server.model import COMPANIES, Scope
from server.query.page_token import PageTokens
from server.rpc.call import Call
from server.rpc.parsing import ParsedRequest
from server.services import convert
from server.services.sliced_responses import ResponseBuilder
from server.services.updates.update_methods import UpdateMethods
from server.users.count import plan_count
from server.users.export import plan_export
from server.users.get import plan_get
from server.users.list_users import plan_list, subject_of_list
from server.users.ports import ProfileErasure, ProfileQueries
from server.users.removal.delete import plan_delete


class CompanyService:
    """Serves `userfold.v1.CompanyService` from the profiles of companies.

    `clock` returns nanoseconds since 1970-01-01 UTC. Long work is done in slices, in `turns` of the applications. The
    caller of each method is authenticated, and may call it.
    """

    def __init__(
        self,
        updates: UpdateMethods,
        queries: ProfileQueries,
        erasure: ProfileErasure,
        tokens: PageTokens,
        clock: Callable[[], int],
        turns: Turns,
    ) -> None:
        self._updates = updates
        self._queries = queries
        self._erasure = erasure
        self._tokens = tokens
        self._clock = clock
        self._turns = turns

    async def UpdateCompany(self, request: pb.UpdateCompanyRequest, call: Call) -> pb.UpdateCompanyResponse:
        response: pb.UpdateCompanyResponse = await self._updates.update(request, call)
        return response

    async def BatchUpdateCompanies(
        self, request: pb.BatchUpdateCompaniesRequest, call: Call
    ) -> pb.BatchUpdateCompaniesResponse:
        response = pb.BatchUpdateCompaniesResponse()
        await self._updates.update_batch(request, [], call, response.results)
        return response

    async def StreamUpdateCompanies(
        self, requests: AsyncIterable[ParsedRequest], call: Call
    ) -> AsyncIterator[pb.StreamUpdateCompaniesResponse]:
        async for response in self._updates.update_stream(requests, call):
            yield response

    async def GetCompany(self, request: pb.GetCompanyRequest, call: Call) -> pb.GetCompanyResponse:
        key = plan_get(call.application_id, "company_id", request.company_id, COMPANIES)
        fetched = await self._queries.find(key)
        if fetched is None:
            raise CompanyNotFound
        response = pb.GetCompanyResponse()
        await self._builder(call).profile(fetched, response.company)
        return response

    async def ListCompanies(self, request: pb.ListCompaniesRequest, call: Call) -> pb.ListCompaniesResponse:
        list_request, now = convert.list_request_from_message(request), self._clock()
        listing = plan_list(call.application_id, list_request, self._tokens, now, COMPANIES)
        fetched, has_more = await self._queries.list_users(listing)
        response = pb.ListCompaniesResponse()
        count = await self._builder(call).profiles(fetched, response.companies)
        if has_more or count < len(fetched):
            position = fetched[count - 1].position(listing.keys)
            subject = subject_of_list(call.application_id, list_request, COMPANIES)
            response.next_page_token = self._tokens.seal(position, subject, now)
        return response

    async def CountCompanies(self, request: pb.CountCompaniesRequest, call: Call) -> pb.CountCompaniesResponse:
        query = plan_count(call.application_id, request.filter, COMPANIES)
        return pb.CountCompaniesResponse(count=await self._queries.count(query))

    async def DeleteCompany(self, request: pb.DeleteCompanyRequest, call: Call) -> pb.DeleteCompanyResponse:
        erasure = plan_delete(call.application_id, "company_id", request.company_id, None, COMPANIES)
        if request.validate_only:
            call.require(Scope.READ_COMPANIES)
            (would_erase,) = await self._erasure.preview([erasure])
            return pb.DeleteCompanyResponse(deleted=would_erase.is_stored)
        (erased,) = await self._erasure.erase([erasure])
        if isinstance(erased, UserfoldError):
            raise erased
        return pb.DeleteCompanyResponse(deleted=erased)

    async def ExportCompany(self, request: pb.ExportCompanyRequest, call: Call) -> pb.ExportCompanyResponse:
        key = plan_export(call.application_id, "company_id", request.company_id, COMPANIES)
        (fetched,) = await self._queries.export(call.application_id, [key])
        if isinstance(fetched, UserfoldError):
            raise fetched
        response = pb.ExportCompanyResponse()
        await self._builder(call).company_export(fetched, response.company_export)
        return response

    def _builder(self, call: Call) -> ResponseBuilder:
        return ResponseBuilder(call, self._turns)
