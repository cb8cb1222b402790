"""A fake of the server's gRPC services, which keeps the requests and answers as the test says."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.internal.v1.credential_service_pb2 import CheckCredentialResponse
from userfold.internal.v1.credential_service_pb2_grpc import CredentialServiceServicer
from userfold.internal.v1.refusal_report_service_pb2 import ReportRefusalsResponse
from userfold.internal.v1.refusal_report_service_pb2_grpc import RefusalReportServiceServicer
from userfold.internal.v1.user_update_service_pb2_grpc import UserUpdateServiceServicer
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.campaign_service_pb2 import ReportCampaignsResponse
from userfold.v1.campaign_service_pb2_grpc import CampaignServiceServicer
from userfold.v1.user_service_pb2_grpc import UserServiceServicer

from gateway.upstream.credential_cache import CONTRACT_VERSION
from tests.gateway.messages import numbered, results, stored
from tests.support.update_json import update_of


@dataclass
class Failure:
    """How a call fails: with a code, and optionally with a Status, or other bytes, in the trailer."""

    code: grpc.StatusCode
    details: str = "the text of a driver, with john@acmeinc.com"
    trailer: bytes | None = None

    @property
    def status(self) -> Status | None:
        """The Status in the trailer, if it has this code."""
        try:
            status = Status.FromString(self.trailer or b"")
        except DecodeError:
            return None
        return status if status.code == self.code.value[0] else None


class FakeUserService(UserServiceServicer):
    """Keeps each request with its metadata. Each call is answered with `reply`, if it is set.

    `outcomes` are the results of single updates by their user ids, with field paths as in a single update.

    A batch of updates of several clients is kept in `batches`. Its updates are also kept and answered as if each had
    been sent alone. The batch of one client, which has no addresses, is kept as a public BatchUpdateUsersRequest.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.checks: list[str] = []
        self.check_metadata: list[Mapping[str, str]] = []
        self.unknown: set[str] = set()
        self.check_failure: Failure | None = None
        self.contract = CONTRACT_VERSION
        self.checking: asyncio.Event | None = None
        self.requests: list[Any] = []
        self.metadata: list[Mapping[str, str]] = []
        self.batches: list[Any] = []
        self.outcomes: dict[str, pb.UpdateUserResult] = {}
        self.reply: Message | Failure | None = None
        self.reports: list[tuple[str, Any]] = []
        """The reports of refusals, each with its collector key."""
        self.report_failures: dict[str, grpc.StatusCode] = {}
        """The code with which the reports with a collector key fail."""
        self.seconds = 0.0
        self.arrived = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    @property
    def request(self) -> Any:
        """The only request."""
        (request,) = self.requests
        return request

    async def UpdateUser(self, request: Any, context: Any) -> Any:
        outcome = self.outcomes.get(request.user.user_id, stored())
        if outcome.HasField("error"):
            code = next(each for each in grpc.StatusCode if each.value[0] == outcome.error.code)
            self.reply = Failure(code, trailer=outcome.error.SerializeToString())
        return await self.take(request, context, outcome.response)

    @property
    def user_ids(self) -> list[list[str]]:
        """The user ids in each batch, in order."""
        return [[update_of(each).user_id for each in batch.users_json] for batch in self.batches]

    @property
    def client_addresses(self) -> list[str]:
        """The client addresses in the batches."""
        return [address for batch in self.batches for address in batch.client_addresses]

    async def GetUser(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.GetUserResponse())

    async def BatchGetUsers(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.BatchGetUsersResponse())

    async def ListUsers(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.ListUsersResponse())

    async def CountUsers(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.CountUsersResponse())

    async def DeleteUser(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.DeleteUserResponse())

    async def BatchDeleteUsers(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.BatchDeleteUsersResponse())

    async def ExportUser(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.ExportUserResponse())

    async def RemoveAlias(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.RemoveAliasResponse())

    async def BatchRemoveAliases(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, pb.BatchRemoveAliasesResponse())

    async def take(self, request: Any, context: Any, default: Message) -> Message:
        self.requests.append(request)
        return await self._answer(context, default)

    async def take_batch(self, request: Any, context: Any) -> internal_pb.BatchUpdateUsersResponse:
        users = [update_of(each) for each in request.users_json]
        if not request.client_addresses:
            batch = pb.BatchUpdateUsersRequest(users=users, validate_only=request.validate_only)
            response: Any = await self.take(batch, context, results(*({} for _ in users)))
            return internal_pb.BatchUpdateUsersResponse(results=response.results)
        self.batches.append(request)
        self.requests += [pb.UpdateUserRequest(user=user) for user in users]
        reply: Any = await self._answer(context, pb.UpdateUserResponse())
        if isinstance(reply, pb.UpdateUserResponse):
            default = pb.UpdateUserResult(response=reply)
            outcomes = [self.outcomes.get(user.user_id, default) for user in users]
            return internal_pb.BatchUpdateUsersResponse(
                results=[numbered(outcome, index) for index, outcome in enumerate(outcomes)]
            )
        return internal_pb.BatchUpdateUsersResponse(results=reply.results)

    async def _answer(self, context: Any, default: Message) -> Message:
        self.metadata.append(dict(context.invocation_metadata()))
        self.arrived.set()
        await asyncio.sleep(self.seconds)
        await self.may_answer.wait()
        if isinstance(self.reply, Failure):
            trailers = () if self.reply.trailer is None else (("grpc-status-details-bin", self.reply.trailer),)
            await context.abort(self.reply.code, self.reply.details, trailers)
        return self.reply if isinstance(self.reply, Message) else default


class FakeUserUpdateService(UserUpdateServiceServicer):
    """Passes batches to the fake."""

    def __init__(self, service: FakeUserService) -> None:
        self._service = service

    async def BatchUpdateUsers(self, request: Any, context: Any) -> Any:
        return await self._service.take_batch(request, context)

    async def StreamBatchUpdateUsers(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        service = self._service
        async for request in requests:
            if isinstance(service.reply, Failure) and (status := service.reply.status):
                service.batches.append(request)
                service.metadata.append(dict(context.invocation_metadata()))
                yield internal_pb.StreamBatchUpdateUsersResponse(error=status)
            else:
                response = await service.take_batch(request, context)
                yield internal_pb.StreamBatchUpdateUsersResponse(response=response)


class FakeCampaignService(CampaignServiceServicer):
    """Passes its requests to the fake."""

    def __init__(self, service: FakeUserService) -> None:
        self._service = service

    async def ReportCampaigns(self, request: Any, context: Any) -> Any:
        return await self._service.take(request, context, ReportCampaignsResponse())


class FakeRefusalReportService(RefusalReportServiceServicer):
    """Keeps the reports of refusals in the fake."""

    def __init__(self, service: FakeUserService) -> None:
        self._service = service

    async def ReportRefusals(self, request: Any, context: Any) -> Any:
        key = dict(context.invocation_metadata())["x-moesif-application-id"]
        self._service.reports.append((key, request))
        if code := self._service.report_failures.get(key):
            await context.abort(code)
        return ReportRefusalsResponse()


class FakeCredentialService(CredentialServiceServicer):
    """Knows every credential that is not in `unknown`: the key `a` belongs to `app-a`. Keeps them in `checks`.

    A check waits for the event `checking`, and fails with `check_failure`, if these are set.
    """

    def __init__(self, service: FakeUserService) -> None:
        self._service = service

    async def CheckCredential(self, request: Any, context: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        key = metadata.get("x-moesif-application-id") or metadata.get("authorization", "")
        self._service.checks.append(key)
        self._service.check_metadata.append(metadata)
        if self._service.checking:
            await self._service.checking.wait()
        if key in self._service.unknown:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED)
        if failure := self._service.check_failure:
            trailers = () if failure.trailer is None else (("grpc-status-details-bin", failure.trailer),)
            await context.abort(failure.code, failure.details, trailers)
        return CheckCredentialResponse(
            application_id=f"app-{key}", contract=self._service.contract, credential_id=f"id-{key}"
        )
