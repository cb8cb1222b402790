"""A running admin listener in front of the fake service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

from gateway.admin.application import application
from gateway.admin.listener import AdminListener
from gateway.app import Application
from gateway.http.listener import bind
from gateway.http.tls import server_context
from gateway.settings import Settings
from gateway.upstream.channel import Channel
from runtime.certificates import NO_FILES, CertificateFiles
from tests.gateway.running import KEY, Backend

TOKEN = "0123456789abcdef"


@dataclass
class Admin:
    """A running admin listener, and a client of it."""

    url: str
    client: httpx2.AsyncClient
    listener: AdminListener
    serving: asyncio.Task[None]

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self.listener._server.server_state.connections)


@contextlib.asynccontextmanager
async def running_admin(
    grpc_address: str,
    token: str | None = TOKEN,
    tls: CertificateFiles = NO_FILES,
    drain_seconds: float = 0.0,
    *,
    gravatar: bool = False,
) -> AsyncIterator[Admin]:
    """An admin listener on a free port, whose only metric is `test_total`."""
    registry = CollectorRegistry()
    Counter("test", "A metric.", registry=registry).inc()

    def exposition(accept: str) -> tuple[str, bytes]:
        encode, content_type = choose_encoder(accept)
        return content_type, encode(registry)

    async with Channel(grpc_address) as channel:
        handler = Application(Settings(grpc_address=grpc_address), channel)
        served = application(handler, exposition, token, gravatar=gravatar)
        listener = AdminListener(served, bind("127.0.0.1", 0), server_context(tls), drain_seconds)
        serving = asyncio.create_task(listener.run_until_stopped())
        async with httpx2.AsyncClient(base_url=listener.url, timeout=120, trust_env=False, headers=KEY) as client:
            yield Admin(listener.url, client, listener, serving)
        listener.stop()
        await serving


@pytest.fixture
async def admin(backend: Backend) -> AsyncIterator[Admin]:
    async with running_admin(backend.address) as running:
        yield running
