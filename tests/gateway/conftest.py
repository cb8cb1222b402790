"""One gRPC server and one gateway for all tests. The fake service is reset before each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.gateway.fakes import FakeUserService
from tests.gateway.running import Backend, Gateway, running_backend, running_gateway


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backend() -> AsyncIterator[Backend]:
    async with running_backend() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(backend: Backend) -> AsyncIterator[Gateway]:
    async with running_gateway(backend.address) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def service(backend: Backend) -> FakeUserService:
    backend.service.reset()
    return backend.service
