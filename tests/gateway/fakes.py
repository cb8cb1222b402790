"""A gRPC service that keeps what it was given and answers what it is told, and a gateway before it."""

import asyncio
import contextlib
import socket
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
from userfold.internal.v1.credential_service_pb2 import CheckCredentialResponse
from userfold.internal.v1.credential_service_pb2_grpc import (
    CredentialServiceServicer,
    add_CredentialServiceServicer_to_server,
)
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceServicer, add_UserServiceServicer_to_server

from gateway.app import Application
from gateway.channel import Channel
from gateway.listener import Listener, bind
from gateway.settings import Settings
from gateway.tls import server_context
from server.transport import OPTIONS

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
        self.checking: asyncio.Event | None = None
        self.requests: list[Any] = []
        self.metadata: list[Mapping[str, str]] = []
        self.groups: list[Any] = []
        self.outcomes: dict[str, pb.UpdateResult] = {}
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
        outcome = self.outcomes.get(request.user.user_id, pb.UpdateResult())
        if outcome.status.code:
            code = next(each for each in grpc.StatusCode if each.value[0] == outcome.status.code)
            self.tell = Failure(code, trailer=outcome.status.SerializeToString())
        return await self._take(request, context, pb.UpdateUserResponse(warnings=outcome.warnings))

    @property
    def user_ids(self) -> list[list[str]]:
        """The ids in each group, in their order."""
        return [[user.user_id for user in group.users] for group in self.groups]

    @property
    def client_addresses(self) -> list[str]:
        """Where the updates came from that came in groups."""
        return [address for group in self.groups for address in group.client_addresses]

    async def BatchUpdateUsers(self, request: Any, context: Any) -> Any:
        if request.client_addresses:
            return await self._take_group(request, context)
        return await self._take(request, context, results(*({} for _ in request.users)))

    async def StreamBatchUpdateUsers(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            if isinstance(self.tell, Failure) and (status := self.tell.status):
                self.groups.append(request)
                self.metadata.append(dict(context.invocation_metadata()))
                yield pb.StreamBatchUpdateUsersResponse(status=status)
            else:
                told: Any = await self._take_group(request, context)
                yield pb.StreamBatchUpdateUsersResponse(response=told)

    async def GetUser(self, request: Any, context: Any) -> Any:
        return await self._take(request, context, pb.GetUserResponse())

    async def ReportCampaigns(self, request: Any, context: Any) -> Any:
        return await self._take(request, context, pb.ReportCampaignsResponse())

    async def _take(self, request: Any, context: Any, default: Message) -> Message:
        self.requests.append(request)
        return await self._answer(context, default)

    async def _take_group(self, request: Any, context: Any) -> Message:
        self.groups.append(request)
        self.requests += [pb.UpdateUserRequest(user=user) for user in request.users]
        told = await self._answer(context, pb.UpdateUserResponse())
        if isinstance(told, pb.UpdateUserResponse):
            default = pb.UpdateResult(warnings=told.warnings)
            outcomes = [self.outcomes.get(user.user_id, default) for user in request.users]
            return results(*(_numbered(outcome, index) for index, outcome in enumerate(outcomes)))
        return told

    async def _answer(self, context: Any, default: Message) -> Message:
        self.metadata.append(dict(context.invocation_metadata()))
        self.arrived.set()
        await asyncio.sleep(self.seconds)
        await self.may_answer.wait()
        if isinstance(self.tell, Failure):
            trailers = () if self.tell.trailer is None else (("grpc-status-details-bin", self.tell.trailer),)
            await context.abort(self.tell.code, self.tell.details, trailers)
        return self.tell if isinstance(self.tell, Message) else default


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
        return CheckCredentialResponse(application_id=f"app-{key}")


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
        groups = [each._group for each in self.application._transcoders.values() if each._group]
        return sum(each._gatherer._waiting_items for each in groups)

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
        listener = Listener(application, bind(given), ready.put_nowait, tls, given.http_connections)
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


def _numbered(outcome: pb.UpdateResult, index: int) -> pb.UpdateResult:
    status = status_with(outcome.status.code, outcome.status.message)
    for detail in outcome.status.details:
        told = BadRequest()
        if detail.Unpack(told):
            for violation in told.field_violations:
                violation.field = f"users[{index}].{violation.field}"
            status.details.add().Pack(told)
        else:
            status.details.append(detail)
    warnings = [
        pb.Warning(field=f"users[{index}].{each.field}", reason=each.reason, description=each.description)
        for each in outcome.warnings
    ]
    return pb.UpdateResult(status=status if status.code else None, warnings=warnings)


def status_with(code: int, message: str, *details: Message) -> Status:
    """A Status as the server sends it."""
    status = Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def results(*each: Any) -> pb.BatchUpdateUsersResponse:
    """The answer to a batch: a dict with `status` or `warnings`, or an empty one, for each item."""
    return pb.BatchUpdateUsersResponse(results=each)


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
