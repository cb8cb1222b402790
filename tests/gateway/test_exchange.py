"""One request from its head to its response: when it takes a place, and that it gives it back once."""

import asyncio
import time
from collections.abc import Callable, Mapping

import pytest
from structlog.testing import capture_logs

from gateway.errors.answer import Answer, Complete
from gateway.errors.reports import Reports
from gateway.exchange import AdmittedExchange, Endpoint, Shared
from gateway.http.forwarded import TrustedProxies
from gateway.http.handler import Body, Respond
from gateway.http.messages import Request, Response
from gateway.metrics import request_metrics
from gateway.routing.admission import Gate
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller, Verifier
from gateway.upstream.refusal_reporter import RefusalReporter
from runtime.reporting.request_log import NO_REQUESTS

REQUEST = Request("POST", b"/v1/users")


class FakeEndpoint:
    """Keeps what completes each request, and calls `does` with it."""

    method = "POST"
    route = "/v1/users"
    body = Body.KEPT
    body_limit = 10

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.completions: list[Complete] = []
        self.stopped = 0
        self.does: Callable[[Complete], object] = self.completions.append

    def answer(
        self, _fields: Mapping[str, str], _caller: Caller, _request: Request, complete: Complete
    ) -> Callable[[], object]:
        self.does(complete)
        return self._stop

    def _stop(self) -> None:
        self.stopped += 1


class Exchanges:
    """Exchanges of one application at a gate with two places, and their responses."""

    def __init__(self, channel: Channel) -> None:
        self.endpoint = FakeEndpoint(Gate(2))
        self.responses: list[Response] = []
        requests = request_metrics()
        self._shared = Shared(
            TrustedProxies(()),
            Verifier(channel),
            Reports(1.0, requests),
            requests,
            RefusalReporter(channel, time.time),
            self._turn_away,
            NO_REQUESTS,
        )

    def begin(self) -> AdmittedExchange:
        return AdmittedExchange(self._shared, self.endpoint, Caller(b"", (), "app"), {})

    def handle(self, exchange: AdmittedExchange | None = None) -> AdmittedExchange:
        """Let the body of a request be complete."""
        exchange = exchange or self.begin()
        exchange.handle(REQUEST, self.responses.append)
        return exchange

    def has_room(self) -> bool:
        return self.endpoint.gate.has_room("app")

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    def _turn_away(self, respond: Respond, endpoint: Endpoint, application: str) -> None:
        raise AssertionError


@pytest.fixture
async def exchanges() -> Exchanges:
    async with Channel("127.0.0.1:1") as channel:
        return Exchanges(channel)


async def test_requests_whose_bodies_are_still_arriving_hold_no_places(exchanges: Exchanges) -> None:
    """Otherwise anyone who knows a collector key, which is public, could fill the places of its application."""
    arriving = [exchanges.begin() for _ in range(100)]
    assert exchanges.has_room()
    exchanges.handle()
    assert not exchanges.has_room()
    exchanges.handle(arriving[0])
    assert exchanges.statuses == [429]
    exchanges.endpoint.completions[0](Answer(201, {}))
    exchanges.handle(arriving[1])
    assert (exchanges.statuses, len(exchanges.endpoint.completions)) == ([429, 201], 2)


async def test_a_place_is_given_back_once_and_there_is_one_response(exchanges: Exchanges) -> None:
    exchanges.handle()
    (complete,) = exchanges.endpoint.completions
    for _ in range(3):
        complete(Answer(201, {}))
    assert (exchanges.statuses, exchanges.endpoint.gate._free) == ([201], 2)


@pytest.mark.parametrize("value", [{}, object()], ids=["a defect of the endpoint", "an answer that is no JSON"])
async def test_a_defect_gives_the_place_back_and_is_answered(exchanges: Exchanges, value: object) -> None:
    def fail(complete: Complete) -> None:
        if value:
            complete(Answer(200, value))
        raise RuntimeError

    exchanges.endpoint.does = fail
    with capture_logs() as lines:
        exchanges.handle()
    assert (exchanges.statuses, exchanges.endpoint.gate._free) == ([500], 2)
    assert [line["event"] for line in lines] == ["defect", "refused"]


async def test_a_defect_after_the_response_is_raised(exchanges: Exchanges) -> None:
    def fail(complete: Complete) -> None:
        complete(Answer(201, {}))
        raise RuntimeError

    exchanges.endpoint.does = fail
    with pytest.raises(RuntimeError):
        exchanges.handle()
    assert (exchanges.statuses, exchanges.endpoint.gate._free) == ([201], 2)


async def test_a_client_that_disconnects_stops_the_work_and_the_place_is_given_back_at_its_end(
    exchanges: Exchanges,
) -> None:
    exchange = exchanges.handle()
    exchange.abandon()
    assert (exchanges.endpoint.stopped, exchanges.has_room()) == (1, False)
    exchanges.endpoint.completions[0](Answer(499, {}))
    await asyncio.sleep(0)
    assert exchanges.has_room()
