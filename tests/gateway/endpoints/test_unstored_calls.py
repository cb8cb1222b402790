"""Subscriptions, actions and events: accepted, not stored, and reported to the operator."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from gateway.endpoints import unstored_calls
from gateway.endpoints.unstored_calls import UnstoredCalls
from gateway.http import content_encoding
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import reasons
from tests.gateway.running import Gateway

_RECORDINGS = Path(__file__).parents[2] / "recordings" / "other-calls"
_RECORDED = {
    path.stem: json.loads(path.read_text()) for path in _RECORDINGS.glob("*.json") if "companies" not in path.stem
}


@pytest.mark.parametrize("recorded", sorted(_RECORDED))
async def test_every_recorded_call_is_answered_201_with_a_warning(
    gateway: Gateway, service: FakeUserService, recorded: str
) -> None:
    request: dict[str, Any] = _RECORDED[recorded]
    content = request["body"].encode()
    headers = [(name, value) for name, values in request["headers"].items() for value in values]
    answer = await gateway.client.request(
        request["method"],
        gateway.url + request["path"],
        content=gzip.compress(content) if request["gzip"] else content,
        headers=headers,
    )
    assert answer.status_code == 201
    (warning,) = answer.json()["warnings"]
    assert (warning["field"], warning["reason"]) == ("", "NOT_STORED")
    assert service.requests == []


def test_every_recorded_path_is_served() -> None:
    paths = {recorded["path"].replace("//", "/") for recorded in _RECORDED.values()}
    assert len(_RECORDED) == 16
    assert paths <= unstored_calls.BODY_BYTES.keys()


@pytest.mark.parametrize("path", unstored_calls.BODY_BYTES)
async def test_a_body_is_discarded_unread_up_to_its_limit(
    gateway: Gateway, service: FakeUserService, path: str
) -> None:
    limit = unstored_calls.BODY_BYTES[path]
    assert limit == (
        content_encoding.OBJECT_BYTES if path.count("/") == 2 and "events" not in path else content_encoding.ARRAY_BYTES
    )
    broken = await gateway.post(path, b"\xff" * limit, **{"Content-Encoding": "gzip"})
    assert broken.status_code == 201
    large = await gateway.post(path, bytes(limit + 1))
    assert (large.status_code, reasons(large.json())) == (413, ["BODY_TOO_LARGE"])


@pytest.mark.parametrize("path", unstored_calls.BODY_BYTES)
async def test_another_method_is_405(gateway: Gateway, service: FakeUserService, path: str) -> None:
    answer = await gateway.client.request("GET", path, content=b"[]")
    elsewhere = path == "/v1/events/batch"
    reason = "USERS_BELONG_ELSEWHERE" if elsewhere else "METHOD_NOT_ALLOWED"
    assert (answer.status_code, reasons(answer.json())) == (405, [reason])
    assert answer.headers["allow"] == "OPTIONS, POST"
    assert ("POST /v1/users/batch" in answer.json()["message"]) == elsewhere


def count(route: str, application: str) -> float:
    labels = {"route": route, "application": application}
    return REGISTRY.get_sample_value("userfold_gateway_not_stored_total", labels) or 0.0


async def test_calls_are_counted_and_logged_once_a_minute_for_each_application(
    gateway: Gateway, service: FakeUserService
) -> None:
    key = {"X-Moesif-Application-Id": "sends events"}
    gateway.application.flush()
    with structlog.testing.capture_logs() as lines:
        for _ in range(10):
            await gateway.post("/v1/events/batch", [], **key)
        await gateway.post("/v1/actions", {}, **key)
        assert [line["paths"] for line in lines] == [{"/v1/events/batch": 1}]
        gateway.application.flush()
        gateway.application.flush()
    common = {"event": "not stored", "log_level": "warning", "application": "app-sends events"}
    assert lines == [
        common | {"paths": {"/v1/events/batch": 1}, "requests": 1},
        common | {"paths": {"/v1/actions": 1, "/v1/events/batch": 9}, "requests": 10},
    ]
    assert count("/v1/events/batch", "app-sends events") == 10
    assert count("/v1/actions", "app-sends events") == 1


async def test_further_calls_are_logged_at_the_end_of_each_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = UnstoredCalls()
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            for _ in range(5):
                calls.add("/v1/events", "app")
            calls.flush()
        calls.flush()
        assert calls._calls == {}
        calls.add("/v1/events", "app")
        calls.flush()
    assert [line["requests"] for line in lines] == [1, 4, 5, 5, 1]
    monkeypatch.setattr(unstored_calls, "_APPLICATIONS", 1)
    with structlog.testing.capture_logs() as lines:
        calls.add("/v1/events", "one")
        calls.add("/v1/events", "other")
    assert [line["application"] for line in lines] == ["one"]
    calls.flush()
    calls.flush()
