"""The methods of ApplicationService."""

from collections.abc import Callable

from userfold.v1 import application_service_pb2 as pb

from server import limits
from server.accounts.applications import StoredApplication
from server.accounts.changes import require_application_id, require_name
from server.accounts.credentials import (
    first_credentials,
    generate_application_id,
    generate_collector_key,
    generate_management_token,
)
from server.accounts.ports import Applications, Deletions
from server.rpc.call import Call
from server.services.accounts.failures import application_of_call
from server.services.accounts.messages import fill_application, fill_credential
from server.services.timestamp import in_milliseconds


class ApplicationService:
    """Serves `userfold.v1.ApplicationService`. `now` returns seconds since 1970-01-01 UTC.

    A secret is in the response to the call that generates it, and nowhere else.
    """

    def __init__(self, applications: Applications, deletion: Deletions, now: Callable[[], float]) -> None:
        self._applications = applications
        self._deletion = deletion
        self._now = now

    async def GetApplication(self, _: pb.GetApplicationRequest, call: Call) -> pb.GetApplicationResponse:
        response = pb.GetApplicationResponse()
        with application_of_call():
            application = await self._applications.application(call.application_id)
        fill_application(response.application, application)
        return response

    async def RenameApplication(self, request: pb.RenameApplicationRequest, call: Call) -> pb.RenameApplicationResponse:
        require_name("display_name", request.display_name)
        response = pb.RenameApplicationResponse()
        with application_of_call():
            await self._applications.rename(call.application_id, request.display_name)
            application = await self._applications.application(call.application_id)
        fill_application(response.application, application)
        return response

    async def DeleteApplication(self, request: pb.DeleteApplicationRequest, call: Call) -> pb.DeleteApplicationResponse:
        application_id = call.application_id
        require_application_id(request.application_id, application_id)
        response = pb.DeleteApplicationResponse()
        with application_of_call():
            if request.validate_only:
                counts = await self._deletion.count(application_id, limits.QUERY_SECONDS)
                response = pb.DeleteApplicationResponse(
                    user_count=counts["users"],
                    visitor_count=counts["visitors"],
                    company_count=counts["companies"],
                    suppression_count=counts["suppressions"],
                    refusal_count=counts["refusals"],
                    credential_count=counts["credentials"],
                    index_count=counts["indexes"],
                )
            else:
                began = await self._deletion.begin(application_id, continued_by_servers=True)
                response.deleting_time.FromDatetime(began)
        return response

    async def CreateApplication(self, request: pb.CreateApplicationRequest, call: Call) -> pb.CreateApplicationResponse:
        require_name("display_name", request.display_name)
        now = in_milliseconds(self._now())
        application = StoredApplication(generate_application_id(), request.display_name, now)
        key, token = generate_collector_key(), generate_management_token()
        credentials = first_credentials(application.application_id, key, token, now)
        await self._applications.create(application, credentials, call.application_id)
        response = pb.CreateApplicationResponse()
        fill_application(response.application, application)
        issued = ((response.collector_key, key), (response.management_token, token))
        for credential, (message, secret) in zip(credentials, issued, strict=True):
            message.secret = secret
            fill_credential(message.credential, credential)
        return response
