"""The methods of VisitorService."""

from collections.abc import Callable

from userfold.v1 import visitor_service_pb2 as pb

from runtime.turns import Turns
from server.model import VISITORS, Scope
from server.query.page_token import PageTokens
from server.rpc.call import Call
from server.services import convert
from server.services.sliced_responses import ResponseBuilder
from server.users.count import plan_count
from server.users.get import plan_get
from server.users.list_users import plan_list, subject_of_list
from server.users.ports import ProfileQueries, VisitorErasure, VisitorQueries


class VisitorService:
    """Serves `userfold.v1.VisitorService`.

    `clock` returns nanoseconds since 1970-01-01 UTC. Long responses are built in slices, in `turns` of the
    applications.
    """

    def __init__(
        self,
        visitors: VisitorQueries,
        queries: ProfileQueries,
        erasure: VisitorErasure,
        tokens: PageTokens,
        clock: Callable[[], int],
        turns: Turns,
    ) -> None:
        self._visitors = visitors
        self._queries = queries
        self._erasure = erasure
        self._tokens = tokens
        self._clock = clock
        self._turns = turns

    async def GetVisitor(self, request: pb.GetVisitorRequest, call: Call) -> pb.GetVisitorResponse:
        fetched = await self._visitors.find(_visitor_id(request.anonymous_id, call))
        response = pb.GetVisitorResponse()
        await self._builder(call).profile(fetched, response.visitor)
        return response

    async def ExportVisitor(self, request: pb.ExportVisitorRequest, call: Call) -> pb.ExportVisitorResponse:
        fetched = await self._visitors.find(_visitor_id(request.anonymous_id, call))
        response = pb.ExportVisitorResponse()
        await self._builder(call).visitor_export(fetched, response.visitor_export)
        return response

    async def ListVisitors(self, request: pb.ListVisitorsRequest, call: Call) -> pb.ListVisitorsResponse:
        list_request, now = convert.list_request_from_message(request), self._clock()
        listing = plan_list(call.application_id, list_request, self._tokens, now, VISITORS)
        fetched, has_more = await self._queries.list_users(listing)
        response = pb.ListVisitorsResponse()
        count = await self._builder(call).profiles(fetched, response.visitors)
        if has_more or count < len(fetched):
            position = fetched[count - 1].position(listing.keys)
            subject = subject_of_list(call.application_id, list_request, VISITORS)
            response.next_page_token = self._tokens.seal(position, subject, now)
        return response

    async def CountVisitors(self, request: pb.CountVisitorsRequest, call: Call) -> pb.CountVisitorsResponse:
        query = plan_count(call.application_id, request.filter, VISITORS)
        return pb.CountVisitorsResponse(count=await self._queries.count(query))

    async def DeleteVisitor(self, request: pb.DeleteVisitorRequest, call: Call) -> pb.DeleteVisitorResponse:
        visitor_id = _visitor_id(request.anonymous_id, call)
        if request.validate_only:
            call.require(Scope.READ_USERS)
            would_erase = await self._erasure.preview(visitor_id)
            return pb.DeleteVisitorResponse(deleted=would_erase.is_stored, alias_count=would_erase.aliases)
        return pb.DeleteVisitorResponse(deleted=await self._erasure.erase(visitor_id))

    def _builder(self, call: Call) -> ResponseBuilder:
        return ResponseBuilder(call, self._turns)


def _visitor_id(anonymous_id: str, call: Call) -> str:
    return plan_get(call.application_id, "anonymous_id", anonymous_id, VISITORS)
