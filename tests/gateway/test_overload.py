"""More requests than there is room for: they are refused immediately, while others are served."""

import asyncio

import httpx2
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway import app
from gateway.calls.transcoder import Transcoder
from gateway.errors.answer import NO_ROOM
from gateway.settings import Settings
from gateway.upstream.channel import Channel
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import reasons
from tests.gateway.running import Backend, running_gateway

_KINDS = {
    "_UPDATES": ("POST", "/v1/users", b'{"user_id":"1"}'),
    "_BATCHES": ("POST", "/v1/users/batch", b'[{"user_id":"1"}]'),
    "_READS": ("GET", "/v1/users/1", b""),
}


@pytest.mark.parametrize("full", _KINDS)
async def test_an_application_that_sends_too_much_of_a_kind_is_refused_and_all_else_is_served(
    backend: Backend, service: FakeUserService, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    for kind in _KINDS:
        monkeypatch.setattr(app, kind, 2)
    async with running_gateway(backend.address) as gateway:
        service.seconds = 0.5

        def send(key: str, kind: str) -> asyncio.Task[httpx2.Response]:
            method, path, content = _KINDS[kind]
            headers = {"X-Moesif-Application-Id": key}
            return asyncio.ensure_future(gateway.client.request(method, path, content=content, headers=headers))

        served = [send("flood", full)]
        await service.arrived.wait()
        refused = await send("flood", full)
        assert not served[0].done()
        assert refused.status_code == 429
        assert (refused.headers["retry-after"], reasons(refused.json())) == ("1", ["OVERLOADED"])
        served += [send("flood", kind) for kind in _KINDS if kind != full]
        served.append(send("other", full))
        assert all(answer.is_success for answer in await asyncio.gather(*served))
        assert (await send("flood", full)).is_success


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_defect_gives_its_place_back(backend: Backend, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(app, kind, 2)
    monkeypatch.setattr(Transcoder, "answer", fail)
    method, path, content = _KINDS[kind]
    async with running_gateway(backend.address) as gateway:
        answers = [await gateway.client.request(method, path, content=content) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 500, 500]


async def test_of_too_many_requests_without_room_the_later_ones_are_answered_later(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_TURNED_AWAY_AT_ONCE", 2)
    monkeypatch.setattr(app, "_TURN_AWAY_SECONDS", 0.05)
    before = _turned_away()
    async with Channel(backend.address) as channel:
        application = app.Application(Settings(), channel)
        responded = [asyncio.Event() for _ in range(6)]

        def turn_away(number: int) -> None:
            application.turn_away(lambda response: responded[number].set() if response is NO_ROOM.response else None)

        for number in range(4):
            turn_away(number)
        assert [each.is_set() for each in responded] == [True, True, False, False, False, False]
        await asyncio.gather(*(each.wait() for each in responded[:4]))
        # In the next second, requests are refused immediately again.
        turn_away(4)
        assert responded[4].is_set()
        # A stopping gateway refuses all immediately.
        application.stop()
        for _ in range(3):
            turn_away(5)
        assert responded[5].is_set()
        with capture_logs() as logged:
            await application.finished()
    assert [(each["event"], each["requests"]) for each in logged] == [("refused", 4)]
    assert _turned_away() - before == 8


def _turned_away() -> float:
    labels = {"route": "none", "reason": "OVERLOADED"}
    return REGISTRY.get_sample_value("userfold_gateway_refusals_total", labels) or 0.0
