"""More than there is room for, seen by clients: refused at once, while others are served."""

import asyncio

import httpx2
import pytest

from gateway import app
from gateway.transcode import Transcoder
from tests.gateway.fakes import Backend, FakeUserService, reasons, running_gateway

_KINDS = {
    "_UPDATES": ("POST", "/v1/users", b'{"user_id":"1"}'),
    "_BATCHES": ("POST", "/v1/users/batch", b'[{"user_id":"1"}]'),
    "_READS": ("GET", "/v1/users/1", b""),
}


@pytest.mark.parametrize("full", _KINDS)
async def test_who_sends_too_much_of_a_kind_is_refused_and_all_else_is_served(
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
async def test_a_defect_takes_no_room_for_good(backend: Backend, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(app, kind, 2)
    monkeypatch.setattr(Transcoder, "answer", fail)
    method, path, content = _KINDS[kind]
    async with running_gateway(backend.address) as gateway:
        answers = [await gateway.client.request(method, path, content=content) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 500, 500]
