"""The methods of CampaignService."""

from userfold.v1 import campaign_service_pb2 as pb

from runtime.turns import Turns
from server.rpc.call import Call
from server.services import convert
from server.services.sliced_responses import ResponseBuilder
from server.users.ports import ProfileQueries
from server.users.report_campaigns import plan_report


class CampaignService:
    """Serves `userfold.v1.CampaignService`. Long responses are built in slices, in `turns` of the applications."""

    def __init__(self, queries: ProfileQueries, turns: Turns) -> None:
        self._queries = queries
        self._turns = turns

    async def ReportCampaigns(self, request: pb.ReportCampaignsRequest, call: Call) -> pb.ReportCampaignsResponse:
        plan = plan_report(call.application_id, convert.report_request_from_message(request))
        report = await self._queries.report(plan)
        response, builder = pb.ReportCampaignsResponse(), ResponseBuilder(call, self._turns)
        if report.total is None:
            response.total.SetInParent()
        else:
            await builder.group(report.total, response.total)
        count = await builder.groups(report.groups, response.groups)
        response.has_more = report.has_more or count < len(report.groups)
        return response
