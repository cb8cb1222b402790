"""A gRPC service that keeps what it was given and answers what it is told, and a gateway before it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx2
import orjson
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.internal.v1.credential_service_pb2 import CheckCredentialResponse
from userfold.internal.v1.credential_service_pb2_grpc import (
    CredentialServiceServicer,
    add_CredentialServiceServicer_to_server,
)
from userfold.internal.v1.user_update_service_pb2_grpc import (
    UserUpdateServiceServicer,
    add_UserUpdateServiceServicer_to_server,
)
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.campaign_service_pb2 import ReportCampaignsResponse
from userfold.v1.campaign_service_pb2_grpc import CampaignServiceServicer, add_CampaignServiceServicer_to_server
from userfold.v1.user_service_pb2_grpc import UserServiceServicer, add_UserServiceServicer_to_server
from userfold.v1.warning_pb2 import Warning

from gateway import metrics
from gateway.app import Application
from gateway.http.listener import Listener, bind
from gateway.http.tls import server_context
from gateway.settings import Settings
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import CONTRACT_VERSION
from server.rpc.transport import OPTIONS

KEY = {"X-Moesif-Application-Id": "key"}
"""The credential of whatever a client sends that names none."""


@dataclass
class Failure:
    """How a call is to fail: with a code alone, or with a Status or any other bytes in the trailer."""

    code: grpc.StatusCode
    details: str = "the text of a driver, with john@acmeinc.com"
    trailer: bytes | None = None

    @property
    def status(self) -> Status | None:
        """The Status in the trailer, if it is one of this code."""
        try:
            status = Status.FromString(self.trailer or b"")
        except DecodeError:
            return None
        return status if status.code == self.code.value[0] else None


class FakeUserService(UserServiceServicer):
    """Keeps each request with its metadata. `tell` is the next answer, until `reset`.

    `outcomes` are those of single updates by their user's id, with the fields as they are named where one comes alone.

    An RPC that brings the requests of several clients together is kept as it came in `groups`; what it holds, and what
    it is told, is as if each had come alone.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.checks: list[str] = []
        self.unknown: set[str] = set()
        self.check_failure: Failure | None = None
        self.contract = CONTRACT_VERSION
        self.checking: asyncio.Event | None = None
        self.requests: list[Any] = []
        self.metadata: list[Mapping[str, str]] = []
        self.groups: list[Any] = []
        self.outcomes: dict[str, pb.UpdateUserResult] = {}
        self.tell: Message | Failure | None = None
        self.seconds = 0.0
        self.arrived = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    @property
    def request(self) -> Any:
        """The one request that came."""
        (request,) = self.requests
        return request

    async def UpdateUser(self, request: Any, context: Any) -> Any:
        outcome = self.outcomes.get(request.user.user_id, stored())
        if outcome.HasField("error"):
            code = next(each for each in grpc.StatusCode if each.value[0] == outcome.error.code)
            self.tell = Failure(code, trailer=outcome.error.SerializeToString())
        return await self.take(request, context, outcome.response)

    @property
    def user_ids(self) -> list[list[str]]:
        """The ids in each group, in their order."""
        return [[user.user_id for user in group.users] for group in self.groups]

    @property
    def client_addresses(self) -> list[str]:
        """Where the updates came from that came in groups."""
        return [address for group in self.groups for address in group.client_addresses]

    async def BatchUpdateUsers(self, request: Any, context: Any) -> Any:
        return await self.take(request, context, results(*({} for _ in request.users)))

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

    async def take_group(self, request: Any, context: Any) -> internal_pb.BatchUpdateUsersResponse:
        self.groups.append(request)
        self.requests += [pb.UpdateUserRequest(user=user) for user in request.users]
        told: Any = await self._answer(context, pb.UpdateUserResponse())
        if isinstance(told, pb.UpdateUserResponse):
            default = pb.UpdateUserResult(response=told)
            outcomes = [self.outcomes.get(user.user_id, default) for user in request.users]
            return internal_pb.BatchUpdateUsersResponse(
                results=[_numbered(outcome, index) for index, outcome in enumerate(outcomes)]
            )
        return internal_pb.BatchUpdateUsersResponse(results=told.results)

    async def _answer(self, context: Any, default: Message) -> Message:
        self.metadata.append(dict(context.invocation_metadata()))
        self.arrived.set()
        await asyncio.sleep(self.seconds)
        await self.may_answer.wait()
        if isinstance(self.tell, Failure):
            trailers = () if self.tell.trailer is None else (("grpc-status-details-bin", self.tell.trailer),)
            await context.abort(self.tell.code, self.tell.details, trailers)
        return self.tell if isinstance(self.tell, Message) else default


class FakeUserUpdateService(UserUpdateServiceServicer):
    """Takes groups for the fake."""

    def __init__(self, service: FakeUserService) -> None:
        self._service = service

    async def BatchUpdateUsers(self, request: Any, context: Any) -> Any:
        return await self._service.take_group(request, context)

    async def StreamBatchUpdateUsers(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        service = self._service
        async for request in requests:
            if isinstance(service.tell, Failure) and (status := service.tell.status):
                service.groups.append(request)
                service.metadata.append(dict(context.invocation_metadata()))
                yield internal_pb.StreamBatchUpdateUsersResponse(error=status)
            else:
                response = await service.take_group(request, context)
                yield internal_pb.StreamBatchUpdateUsersResponse(response=response)


class FakeCampaignService(CampaignServiceServicer):
    """Keeps in the fake what it is asked."""

    def __init__(self, service: FakeUserService) -> None:
        self._service = service

    async def ReportCampaigns(self, request: Any, context: Any) -> Any:
        return await self._service.take(request, context, ReportCampaignsResponse())


class FakeCredentialService(CredentialServiceServicer):
    """Knows each credential but those in `unknown`: that of the key `a` belongs to `app-a`. Keeps them in `checks`.

    A check waits for `checking`, if that is set, and then fails with `check_failure`, if that is.
    """

    def __init__(self, service: FakeUserService) -> None:
        self._service = service

    async def CheckCredential(self, request: Any, context: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        key = metadata.get("x-moesif-application-id") or metadata.get("authorization", "")
        self._service.checks.append(key)
        if self._service.checking:
            await self._service.checking.wait()
        if key in self._service.unknown:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED)
        if failure := self._service.check_failure:
            trailers = () if failure.trailer is None else (("grpc-status-details-bin", failure.trailer),)
            await context.abort(failure.code, failure.details, trailers)
        return CheckCredentialResponse(application_id=f"app-{key}", contract=self._service.contract)


@dataclass
class Gateway:
    """A gateway that listens, and clients for it."""

    url: str
    client: httpx2.AsyncClient
    listener: Listener
    application: Application

    @property
    def waiting(self) -> int:
        """How many requests wait for a group to leave."""
        clients = [each._batch_client for each in self.application._transcoders.values() if each._batch_client]
        return sum(each._batcher.queued_items for each in clients)

    async def post(self, path: str, value: object, **headers: str) -> httpx2.Response:
        """Post a JSON value, or bytes as they are."""
        content = value if isinstance(value, bytes) else orjson.dumps(value)
        return await self.client.post(path, content=content, headers=headers)

    async def raw(self, request: bytes) -> bytes:
        """Everything that comes back for these bytes until the connection ends."""
        port = int(self.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@dataclass
class Backend:
    """A gRPC server with a fake service."""

    address: str
    service: FakeUserService = field(default_factory=FakeUserService)


@contextlib.asynccontextmanager
async def running_backend() -> AsyncIterator[Backend]:
    """The server, on a free port."""
    # The real server's, which the gateway's own are made to fit: gRPC's defaults take its pings for an attack.
    server = grpc.aio.server(options=OPTIONS)
    backend = Backend("")
    add_UserServiceServicer_to_server(backend.service, server)
    add_UserUpdateServiceServicer_to_server(FakeUserUpdateService(backend.service), server)
    add_CampaignServiceServicer_to_server(FakeCampaignService(backend.service), server)
    add_CredentialServiceServicer_to_server(FakeCredentialService(backend.service), server)
    backend.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield backend
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def running_gateway(
    grpc_address: str, verify: ssl.SSLContext | bool = True, **settings: Any
) -> AsyncIterator[Gateway]:
    """A gateway before the server at `grpc_address`, on a free port of 127.0.0.1."""
    given = Settings(http_address="127.0.0.1:0", grpc_address=grpc_address, **settings)
    async with Channel(given.grpc_address) as channel:
        ready: asyncio.Queue[str] = asyncio.Queue()
        tls = server_context(given.http_tls)
        application = Application(given, channel)
        listener = Listener(
            application,
            bind("127.0.0.1", 0),
            ready.put_nowait,
            tls,
            given.http_connections,
            count_cut=metrics.count_cut,
        )
        serving = asyncio.create_task(listener.run_until_stopped())
        url = await ready.get()
        try:
            async with httpx2.AsyncClient(
                base_url=url, timeout=30, trust_env=False, verify=verify, headers=KEY
            ) as client:
                yield Gateway(url, client, listener, application)
        finally:
            listener.stop()
            await serving


def stored(*warnings: Warning) -> pb.UpdateUserResult:
    """The result of an update that is stored."""
    return pb.UpdateUserResult(response=pb.UpdateUserResponse(warnings=warnings))


def _numbered(outcome: pb.UpdateUserResult, index: int) -> pb.UpdateUserResult:
    if outcome.WhichOneof("outcome") != "error":
        numbered = pb.UpdateUserResult()
        numbered.CopyFrom(outcome)
        for warning in numbered.response.warnings if outcome.HasField("response") else ():
            warning.field = f"users[{index}].{warning.field}"
        return numbered
    status = status_with(outcome.error.code, outcome.error.message)
    for detail in outcome.error.details:
        told = BadRequest()
        if detail.Unpack(told):
            for violation in told.field_violations:
                violation.field = f"users[{index}].{violation.field}"
            status.details.add().Pack(told)
        else:
            status.details.append(detail)
    return pb.UpdateUserResult(error=status)


def status_with(code: int, message: str, *details: Message) -> Status:
    """A Status as the server sends it."""
    status = Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def results(*each: Any) -> pb.BatchUpdateUsersResponse:
    """The response to a batch: for each item a dict with its `error`, or with what its response holds."""
    outcomes = [
        pb.UpdateUserResult(**one) if "error" in one else pb.UpdateUserResult(response=pb.UpdateUserResponse(**one))
        for one in each
    ]
    return pb.BatchUpdateUsersResponse(results=outcomes)


def error_info(reason: str, **metadata: str) -> ErrorInfo:
    return ErrorInfo(reason=reason, domain="userfold", metadata=metadata)


def bad_request(*fields: str) -> BadRequest:
    told = BadRequest()
    for name in fields:
        told.field_violations.add(field=name, description="breaks a rule", reason="RULE")
    return told


def retry_info(seconds: int, nanos: int = 0) -> RetryInfo:
    info = RetryInfo()
    info.retry_delay.seconds, info.retry_delay.nanos = seconds, nanos
    return info


def reasons(answer: Mapping[str, Any]) -> list[str]:
    """The reasons in an error's ErrorInfo details."""
    return [each["reason"] for each in answer["details"] if each["@type"].endswith("ErrorInfo")]


def violations(answer: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """The field and reason of each violation of an error."""
    told = [each["field_violations"] for each in answer["details"] if each["@type"].endswith("BadRequest")]
    return [(each["field"], each["reason"]) for one in told for each in one]
