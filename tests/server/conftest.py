from collections.abc import AsyncIterator

import pytest

from tests.server.served import Served, serving


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    # Tests check open streams themselves, when they want to.
    monkeypatch.setattr("server.rpc.open_streams.SWEEP_SECONDS", 3600.0)
    async with serving() as served:
        yield served
