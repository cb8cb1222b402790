"""A running gateway, and a running server with a fake service."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx2
import orjson
from userfold.internal.v1.credential_service_pb2_grpc import add_CredentialServiceServicer_to_server
from userfold.internal.v1.refusal_report_service_pb2_grpc import add_RefusalReportServiceServicer_to_server
from userfold.internal.v1.user_update_service_pb2_grpc import add_UserUpdateServiceServicer_to_server
from userfold.v1.campaign_service_pb2_grpc import add_CampaignServiceServicer_to_server
from userfold.v1.user_service_pb2_grpc import add_UserServiceServicer_to_server

from gateway import metrics
from gateway.app import Application
from gateway.http.listener import Listener, bind
from gateway.http.tls import server_context
from gateway.settings import Settings
from gateway.upstream.channel import Channel
from server.rpc.transport import OPTIONS
from tests.gateway.fakes import (
    FakeCampaignService,
    FakeCredentialService,
    FakeRefusalReportService,
    FakeUserService,
    FakeUserUpdateService,
)

KEY = {"X-Moesif-Application-Id": "key"}
"""The credential of requests that name none."""


@dataclass
class Gateway:
    """A running gateway, and a client of it."""

    url: str
    client: httpx2.AsyncClient
    listener: Listener
    application: Application

    @property
    def waiting(self) -> int:
        """How many requests are queued for a batch."""
        clients = [each._batch_client for each in self.application._transcoders.values() if each._batch_client]
        return sum(each._batcher.queued_items for each in clients)

    async def post(self, path: str, value: object, **headers: str) -> httpx2.Response:
        """Post a JSON value, or bytes unchanged."""
        content = value if isinstance(value, bytes) else orjson.dumps(value)
        return await self.client.post(path, content=content, headers=headers)

    async def raw(self, request: bytes) -> bytes:
        """Send bytes, and return all that is received until the connection ends."""
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
async def running_backend(port: int = 0) -> AsyncIterator[Backend]:
    """A server on this port, or on a free one."""
    # The real server's options: by default, gRPC ends connections with as many pings as the gateway sends.
    server = grpc.aio.server(options=OPTIONS)
    backend = Backend("")
    add_UserServiceServicer_to_server(backend.service, server)
    add_UserUpdateServiceServicer_to_server(FakeUserUpdateService(backend.service), server)
    add_CampaignServiceServicer_to_server(FakeCampaignService(backend.service), server)
    add_CredentialServiceServicer_to_server(FakeCredentialService(backend.service), server)
    add_RefusalReportServiceServicer_to_server(FakeRefusalReportService(backend.service), server)
    backend.address = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    await server.start()
    try:
        yield backend
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def running_gateway(
    grpc_address: str, verify: ssl.SSLContext | bool = True, **settings: Any
) -> AsyncIterator[Gateway]:
    """A gateway of the server at `grpc_address`, on a free port of 127.0.0.1."""
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
                base_url=url, timeout=120, trust_env=False, verify=verify, headers=KEY
            ) as client:
                yield Gateway(url, client, listener, application)
        finally:
            listener.stop()
            await serving
