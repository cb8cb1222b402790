"""The methods of CampaignService."""

from typing import Any

import grpc
from userfold.v1 import campaign_service_pb2 as pb
from userfold.v1.campaign_service_pb2_grpc import CampaignServiceServicer

from runtime.turns import Turns
from server.rpc.call import current_call
from server.services import convert
from server.services.responses import Answer
from server.users.campaign_report import plan_report
from server.users.ports import ProfileQueries

Context = grpc.aio.ServicerContext[Any, Any]


class CampaignService(CampaignServiceServicer):
    """The reports over a store. Long work is done in slices, in `turns` by application."""

    def __init__(self, queries: ProfileQueries, turns: Turns) -> None:
        self._queries = queries
        self._turns = turns

    async def ReportCampaigns(self, request: pb.ReportCampaignsRequest, context: Context) -> pb.ReportCampaignsResponse:
        call = current_call()
        asked = convert.report_request_from_message(request)
        report = await self._queries.report(plan_report(call.application.application_id, asked))
        response, answer = pb.ReportCampaignsResponse(), Answer(call, self._turns)
        if report.total is None:
            response.total.SetInParent()
        else:
            await answer.group(report.total, response.total)
        count = await answer.groups(report.groups, response.groups)
        response.has_more = report.has_more or count < len(report.groups)
        return response
