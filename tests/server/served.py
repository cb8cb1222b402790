"""The gRPC edge around fake services: a real gRPC server in the process of the test, with a fake clock."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from userfold.internal.v1 import company_update_service_pb2, refusal_report_service_pb2, user_update_service_pb2
from userfold.internal.v1 import credential_service_pb2 as internal_credential_service_pb2
from userfold.internal.v1.credential_service_pb2_grpc import CredentialServiceStub
from userfold.internal.v1.user_update_service_pb2_grpc import UserUpdateServiceStub
from userfold.v1 import (
    application_service_pb2,
    campaign_service_pb2,
    company_service_pb2,
    credential_service_pb2,
    metadata_service_pb2,
    refusal_service_pb2,
    status_service_pb2,
    visitor_service_pb2,
)
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from runtime.refusal_counts import Counts, RefusalCounts
from runtime.reporting.request_log import NO_REQUESTS, RequestLog
from runtime.turns import Turns
from server import metrics
from server.accounts.credentials import StoredCredential, digest
from server.accounts.scopes import COLLECTOR_SCOPES
from server.errors import Overloaded
from server.model import CredentialKind
from server.rpc.admission.admission import Admission
from server.rpc.admission.rate_limit import TokenBuckets
from server.rpc.authentication import Authenticator
from server.rpc.call import Call
from server.rpc.dispatch import Dispatcher
from server.rpc.open_streams import Streams
from server.rpc.parsing import ParsedRequest
from server.rpc.served_method import Shared
from server.rpc.transport import OPTIONS
from server.services.accounts.credential_check import CredentialCheckService
from server.services.refusal_service import RefusalReportService

SERVICE = pb.DESCRIPTOR.services_by_name["UserService"]
UPDATES = user_update_service_pb2.DESCRIPTOR.services_by_name["UserUpdateService"]
VISITORS = visitor_service_pb2.DESCRIPTOR.services_by_name["VisitorService"]
COMPANIES = company_service_pb2.DESCRIPTOR.services_by_name["CompanyService"]
COMPANY_UPDATES = company_update_service_pb2.DESCRIPTOR.services_by_name["CompanyUpdateService"]
CAMPAIGNS = campaign_service_pb2.DESCRIPTOR.services_by_name["CampaignService"]
CREDENTIAL_CHECKS = internal_credential_service_pb2.DESCRIPTOR.services_by_name["CredentialService"]
APPLICATIONS = application_service_pb2.DESCRIPTOR.services_by_name["ApplicationService"]
CREDENTIALS = credential_service_pb2.DESCRIPTOR.services_by_name["CredentialService"]
METADATA = metadata_service_pb2.DESCRIPTOR.services_by_name["MetadataService"]
STATUS = status_service_pb2.DESCRIPTOR.services_by_name["StatusService"]
REFUSALS = refusal_service_pb2.DESCRIPTOR.services_by_name["RefusalService"]
REFUSAL_REPORTS = refusal_report_service_pb2.DESCRIPTOR.services_by_name["RefusalReportService"]
KEY = (("x-moesif-application-id", "key"),)


def unstored_counts() -> RefusalCounts:
    """Counts of refusals that are passed on to nothing."""

    async def discard(_: Mapping[str, Counts]) -> Mapping[str, Counts]:
        return {}

    return RefusalCounts(discard, lambda: 0.0)


class FakeService:
    """Records the application of each call, and acknowledges each request of a stream."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.oversized: frozenset[int] = frozenset()
        self.defect: Exception | None = None
        self.held: asyncio.Event | None = None
        """Calls wait until this is set."""
        self.waits = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        async def serve(request: Any, call: Call) -> Any:
            self.called.append(call.application_id)
            self.oversized = call.oversized
            if self.held:
                self.waits.set()
                await self.held.wait()
            if self.defect:
                raise self.defect
            return getattr(pb, f"{name}Response")()

        return serve

    async def StreamUpdateUsers(
        self, requests: AsyncIterable[ParsedRequest], call: Call
    ) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        async for _, oversized in requests:
            self.oversized = oversized
            self.called.append(call.application_id)
            yield pb.StreamUpdateUsersResponse(acknowledgements=[pb.Acknowledgement()])

    async def StreamUpdateCompanies(self, requests: AsyncIterable[ParsedRequest], call: Call) -> AsyncIterator[Any]:
        async for _ in requests:
            yield company_service_pb2.StreamUpdateCompaniesResponse()


class FakeUpdateService:
    """Passes batches on to `update_batch`, or to the fake service."""

    def __init__(self, served: "Served") -> None:
        self._served = served

    async def BatchUpdateUsers(self, request: Any, call: Call) -> Any:
        if self._served.update_batch:
            return await self._served.update_batch(request, call)
        await self._served.service.BatchUpdateUsers(request, call)
        return user_update_service_pb2.BatchUpdateUsersResponse()


class Served:
    """The served fakes: their stubs, the one credential in their database, and the time of their clock in seconds."""

    def __init__(self, request_log: RequestLog = NO_REQUESTS) -> None:
        self.request_log = request_log
        self.service = FakeService()
        self.update_batch: Callable[[Any, Call], Awaitable[Any]] | None = None
        self.credential: StoredCredential | None = StoredCredential(
            digest("key"), "c", "app", CredentialKind.COLLECTOR, "", COLLECTOR_SCOPES, datetime.now(UTC)
        )
        self.seconds = 0.0
        self.stub: Any = None
        self.updates: Any = None
        self.credentials: Any = None
        self.channel: Any = None
        # Ten items per second, and a burst of two seconds.
        self.admission = Admission(self.require_room, TokenBuckets(10, lambda: self.seconds))
        self.is_full = False
        self.queries: list[Sequence[bytes]] = []
        self.is_queried = asyncio.Event()
        self.may_respond = asyncio.Event()
        self.may_respond.set()
        self.stopping = asyncio.Event()
        self.authenticator = Authenticator(self, lambda: self.seconds, lambda: 0.0)
        self.streams = Streams(self.authenticator, lambda: self.seconds, self.stopping)
        self.refusals = RefusalCounts(self.store, lambda: self.seconds)
        self.refused: dict[str, Counts] = {}
        """The refusals that were passed on, by application."""

    def method(self, name: str) -> Any:
        """A method of one of the stubs."""
        return getattr(self.updates if name.startswith("StreamBatch") else self.stub, name)

    def servicers(self) -> Mapping[ServiceDescriptor, object]:
        """The fakes by the services that they serve."""
        return {
            SERVICE: self.service,
            VISITORS: self.service,
            COMPANIES: self.service,
            COMPANY_UPDATES: self.service,
            CAMPAIGNS: self.service,
            UPDATES: FakeUpdateService(self),
            CREDENTIAL_CHECKS: CredentialCheckService(),
            APPLICATIONS: self.service,
            CREDENTIALS: self.service,
            REFUSALS: self.service,
            METADATA: self.service,
            STATUS: self.service,
            REFUSAL_REPORTS: RefusalReportService(self.refusals, lambda: self.seconds),
        }

    def shared(self) -> Shared:
        """What their calls share."""
        requests = metrics.request_metrics()
        return Shared(
            self.authenticator, self.admission, self.streams, Turns(), requests, self.refusals, self.request_log
        )

    async def store(self, counts: Mapping[str, Counts]) -> Mapping[str, Counts]:
        self.refused.update(counts)
        return {}

    def require_room(self, application_id: str) -> None:
        if self.is_full:
            raise Overloaded

    async def find_all(self, digests: Sequence[bytes]) -> Sequence[StoredCredential]:
        self.queries += [digests]
        self.is_queried.set()
        await self.may_respond.wait()
        return [self.credential] if self.credential and self.credential.digest in digests else []


@asynccontextmanager
async def serving(request_log: RequestLog = NO_REQUESTS) -> AsyncIterator[Served]:
    """Fake services that are served until the end of the block."""
    served = Served(request_log)
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers([Dispatcher(served.servicers(), served.shared())])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        served.stub, served.credentials = UserServiceStub(channel), CredentialServiceStub(channel)
        served.updates = UserUpdateServiceStub(channel)
        served.channel = channel
        yield served
    await server.stop(None)


async def refused(call: Any) -> tuple[str, float]:
    """The reason for which a call is refused, and after how many seconds the client may retry."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await asyncio.wait_for(call, 30)
    trailers: Any = refusal.value.trailing_metadata()
    status = Status.FromString(dict(trailers)["grpc-status-details-bin"])
    assert refusal.value.code().value[0] == status.code
    return reason_of(status)


def reason_of(status: Status) -> tuple[str, float]:
    """The reason in a status, and after how many seconds the client may retry."""
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    for detail in status.details[1:]:
        detail.Unpack(retry)
    return info.reason, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
