"""A response is computed once for all calls within a while, whatever becomes of its callers."""

import asyncio
import gc
from collections.abc import Callable

import pytest
from userfold.v1.metadata_service_pb2 import GetMetadataCatalogueResponse as Response

from server.errors import QueryTooSlow
from server.services.overview import kept_responses
from server.services.overview.kept_responses import SECONDS, KeptResponses


class Computed:
    """Computes responses that name their application and are numbered, when `may_end` is set."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.kept: KeptResponses[Response] = KeptResponses(self.compute, lambda: self.seconds)

    async def compute(self, application_id: str) -> Response:
        self.calls.append(application_id)
        number = len(self.calls)
        await self.may_end.wait()
        if self.error:
            raise self.error
        response = Response(sampled_user_count=number)
        response.paths.add(path=application_id)
        return response

    async def number(self, application_id: str = "a") -> int:
        """The number of the response for an application."""
        response = await self.kept.get(application_id)
        assert response.paths[0].path == application_id
        return response.sampled_user_count


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # What is waited for sets no event.
            await asyncio.sleep(0)


async def test_a_response_is_kept_for_a_while() -> None:
    computed = Computed()
    assert [await computed.number() for _ in range(3)] == [1, 1, 1]
    assert await computed.number("b") == 2
    computed.seconds = SECONDS - 1
    assert [await computed.number(), await computed.number("b")] == [1, 2]
    computed.seconds = SECONDS
    assert [await computed.number(), await computed.number("b")] == [3, 4]


async def test_calls_at_once_wait_for_one_computation() -> None:
    computed = Computed()
    computed.may_end.clear()
    calls = [asyncio.create_task(computed.number(name)) for name in ("a", "b", "a", "a")]
    await until(lambda: len(computed.calls) == 2)
    computed.may_end.set()
    assert await asyncio.gather(*calls) == [1, 2, 1, 1]


async def test_a_caller_that_goes_away_stops_nothing() -> None:
    computed = Computed()
    computed.may_end.clear()
    gone, staying = (asyncio.create_task(computed.number()) for _ in range(2))
    await until(lambda: bool(computed.calls))
    gone.cancel()
    await asyncio.wait([gone])
    computed.may_end.set()
    assert await staying == 1


async def test_an_error_is_not_kept() -> None:
    computed = Computed()
    computed.error = QueryTooSlow()
    computed.may_end.clear()
    calls = [asyncio.create_task(computed.number()) for _ in range(2)]
    await until(lambda: bool(computed.calls))
    computed.may_end.set()
    assert [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)] == [QueryTooSlow] * 2
    computed.error = None
    assert await computed.number() == 2


async def test_an_error_without_callers_is_no_warning() -> None:
    computed = Computed()
    computed.error = QueryTooSlow()
    computed.may_end.clear()
    gone = asyncio.create_task(computed.number())
    await until(lambda: bool(computed.calls))
    gone.cancel()
    await asyncio.wait([gone])
    handled: list[object] = []
    loop = asyncio.get_running_loop()
    # Other tests may have left other things to collect.
    loop.set_exception_handler(lambda _, context: handled.append(context.get("exception")))
    try:
        computed.may_end.set()
        await until(lambda: not computed.kept._computing)
        await asyncio.sleep(0)
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert computed.error not in handled


async def test_the_size_of_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = Computed()
    size = (await computed.kept.get("a")).ByteSize()
    monkeypatch.setattr(kept_responses, "KEPT_BYTES", 2 * size)
    assert [await computed.number(name) for name in "abc"] == [1, 2, 3]
    # The oldest one is gone.
    assert [await computed.number(name) for name in "cb"] == [3, 2]
    assert await computed.number("a") == 4
