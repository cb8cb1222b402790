"""Paths, prefixes, cross-origin requests, constants, logs and metrics."""

import asyncio
import socket
from typing import Any

import orjson
import pytest
import structlog
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from prometheus_client import REGISTRY
from userfold.v1 import user_service_pb2 as pb

from gateway.app import Application
from gateway.calls import transcoder
from gateway.http.listener import bind
from gateway.http.messages import Request
from gateway.routing import http_rules
from gateway.routing.admission import Gate
from gateway.routing.descriptors import UnsupportedBinding
from gateway.settings import Settings
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller
from runtime import tally
from runtime.turns import Turns
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import reasons
from tests.gateway.protos import service_type
from tests.gateway.running import Backend, Gateway, running_gateway

CONFIG = {
    "sample_rate": 0,
    "user_sample_rate": {},
    "company_sample_rate": {},
    "user_rules": {},
    "company_rules": {},
    "regex_config": [],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/v1/config", CONFIG),
        ("/v1/rules", []),
        ("/health/probe", {"status": True, "region": "local"}),
        ("//v1//config/", CONFIG),
    ],
)
async def test_the_configuration_of_client_libraries_needs_no_credential(
    gateway: Gateway, path: str, value: object
) -> None:
    answer = await gateway.client.get(gateway.url + path)
    assert (answer.status_code, answer.json()) == (200, value)
    assert not [name for name in answer.headers if name.startswith("x-moesif")]
    refused = await gateway.client.put(gateway.url + path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", ["//v1/users", "/v1/users/", "///v1///users//"])
async def test_repeated_slashes_are_merged_without_a_redirect(
    gateway: Gateway, service: FakeUserService, path: str
) -> None:
    answer = await gateway.client.post(gateway.url + path, content=b'{"user_id":"1"}')
    assert (answer.status_code, len(service.requests)) == (201, 1)


async def test_a_prefix_is_removed_and_may_be_missing(backend: Backend, service: FakeUserService) -> None:
    async with running_gateway(backend.address, path_prefix="/api/userfold", region="eu") as gateway:
        for path in ("/api/userfold/v1/users", "/v1/users", "//api//userfold/v1/users/"):
            answer = await gateway.client.post(gateway.url + path, content=b'{"user_id":"1"}')
            assert answer.status_code == 201
        assert (await gateway.client.get("/api/userfold/health/probe")).json() == {"status": True, "region": "eu"}
        for path in ("/api/userfold", "/api/userfoldx/v1/users", "/api/v1/users", "/"):
            assert (await gateway.client.get(path)).status_code == 404
    async with running_gateway(backend.address, path_prefix="/v1") as gateway:
        assert (await gateway.client.get("/v1/v1/rules")).json() == (await gateway.client.get("/v1/rules")).json() == []


async def test_another_method_is_405_with_all_that_are_allowed(gateway: Gateway) -> None:
    answer = await gateway.client.put("/v1/users/batch")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, POST")
    assert reasons(answer.json()) == ["METHOD_NOT_ALLOWED"]


@pytest.mark.parametrize("path", ["/v1/users", "/v1/users/batch", "/nowhere", "/v1/config"])
async def test_a_preflight_needs_no_credential_and_allows_all_requested_headers(gateway: Gateway, path: str) -> None:
    asked = "content-type,x-moesif-application-id,x-moesif-sdk"
    answer = await gateway.client.options(
        path, headers={"Origin": "https://a", "Access-Control-Request-Headers": asked}
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == asked
    assert answer.headers["access-control-max-age"] == "86400"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


async def test_options_without_headers_allows_those_that_clients_use(gateway: Gateway) -> None:
    answer = await gateway.client.options("/v1/users")
    names = answer.headers["access-control-allow-headers"].split(", ")
    of_clients = {"authorization", "content-encoding", "content-type", "x-moesif-application-id", "x-moesif-sdk"}
    assert names == sorted(of_clients | {"traceparent", "x-request-id"})


async def test_every_page_may_read_every_response(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        await gateway.client.get("/v1/rules"),
        await gateway.client.get("/nowhere"),
        await gateway.post("/v1/users", b"{"),
        await gateway.post("/v1/users", {"user_id": "1"}, Origin="https://a"),
    ]
    monkeypatch.setattr(transcoder.Transcoder, "answer", lambda *_: 1 / 0)
    answers.append(await gateway.post("/v1/users", {"user_id": "1"}))
    assert [answer.status_code for answer in answers] == [200, 404, 400, 201, 500]
    assert [answer.headers.get_list("access-control-allow-origin") for answer in answers] == [["*"]] * 5


async def test_a_defect_is_answered_with_the_id_in_the_log_and_nothing_else(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("john@acmeinc.com")

    monkeypatch.setattr(transcoder.Transcoder, "answer", fail)
    with structlog.testing.capture_logs() as lines:
        answer = await gateway.post("/v1/users", {"user_id": "1"})
    error = answer.json()
    error_id = error["details"][0]["metadata"]["error_id"]
    assert (answer.status_code, reasons(error)) == (500, ["INTERNAL"])
    defect, refused = lines
    assert (defect["event"], defect["error_id"], defect["exception"]) == ("defect", error_id, "builtins.RuntimeError")
    assert defect["traceback"][-1].endswith(" fail")
    assert (refused["reason"], refused["error_id"]) == ("INTERNAL", error_id)
    assert "acmeinc" not in answer.text + repr(lines)


def refusals(route: str, reason: str) -> float:
    return REGISTRY.get_sample_value("userfold_gateway_refusals_total", {"route": route, "reason": reason}) or 0.0


async def test_every_refusal_is_logged_and_counted_without_any_value_of_a_caller(
    gateway: Gateway, service: FakeUserService
) -> None:
    before = refusals("/v1/users/batch", "INVALID_REQUEST"), refusals("none", "ROUTE_NOT_FOUND")
    secret = {"user_id": "1", "metadata": {"secret-key": {}}, "modified_time": "secret", "secret": 1}
    gateway.application.flush()
    with structlog.testing.capture_logs() as lines:
        await gateway.post("/v1/users/batch", [{"user_id": "1"}, secret, "secret"], Authorization="Bearer secret")
        await gateway.post("/v1/users", {"campaign": {"gclid": {"secret": 1}}, "metadata": "secret"})
        await gateway.client.get("/secret/v1/users/secret?secret=1")
        await gateway.client.delete("/%0a/secret" + "/secret" * 20)
        await gateway.client.get("/v1/subscription/secret")
    ids = [line.pop("request_id") for line in lines]
    # One request may be refused for several reasons.
    assert len({*ids}) == 5
    common: dict[str, Any] = {"event": "refused", "log_level": "warning", "http_status": 400, "requests": 1}
    # The client of the tests is no known one.
    common["client_library"] = "other"
    batch = common | {"route": "/v1/users/batch", "application": "app-key", "credential": "id-key"}
    one = batch | {"route": "/v1/users"}
    nowhere = batch | {"reason": "ROUTE_NOT_FOUND", "route": "none", "fields": [], "http_status": 404}
    assert lines == [
        batch | {"reason": "BATCH_PARTLY_REFUSED", "fields": []},
        batch | {"reason": "INVALID_REQUEST", "fields": ["modified_time"]},
        batch | {"reason": "INVALID_REQUEST", "fields": ["*"]},
        one | {"reason": "INVALID_REQUEST", "fields": ["campaign.gclid", "metadata"]},
        nowhere | {"path": "GET /*/v1/users/*"},
        nowhere | {"path": "DELETE /*/*/*/*/*/*/*/*/..."},
        nowhere | {"path": "GET /v1/subscription/*"},
    ]
    after = refusals("/v1/users/batch", "INVALID_REQUEST"), refusals("none", "ROUTE_NOT_FOUND")
    assert (after[0] - before[0], after[1] - before[1]) == (2, 3)


async def test_300_refused_items_are_two_log_lines(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One immediately for the first of a second, and one at its end for the remaining ones."""
    # The second ends with `flush`, however long the requests take.
    monkeypatch.setattr(tally, "SECONDS", 3600.0)
    gateway.application.flush()
    with structlog.testing.capture_logs() as lines:
        await gateway.post("/v1/users/batch", [{"user_id": []}] * 300)
        for _ in range(50):
            await gateway.post("/v1/users", {"user_id": []})
        gateway.application.flush()
    refusals = [(line["route"], line["reason"], line["fields"], line["requests"]) for line in lines]
    assert refusals == [
        ("/v1/users/batch", "BATCH_PARTLY_REFUSED", [], 1),
        ("/v1/users/batch", "INVALID_REQUEST", ["user_id"], 300),
        ("/v1/users", "INVALID_REQUEST", ["user_id"], 1),
        ("/v1/users", "INVALID_REQUEST", ["user_id"], 49),
    ]


@pytest.mark.parametrize("request_line", [b"NONSENSE\r\n\r\n", b"GET /v1/\xff HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_malformed_request_gets_the_shape_of_every_error(gateway: Gateway, request_line: bytes) -> None:
    head, _, content = (await gateway.raw(request_line)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"access-control-allow-origin: *" in head
    assert reasons(orjson.loads(content)) == ["HTTP_MALFORMED"]


async def test_another_service_needs_no_code(backend: Backend) -> None:
    """With a whole message as the body, a query and a verb, which no route of UserService has together."""
    service = service_type(
        [
            HttpRule(post="/v1/things/{id}:touch", body="*"),
            HttpRule(get="/v1/things", response_body="item"),
            HttpRule(delete="/v1/things/{count}"),
        ],
        [("id", Field.TYPE_STRING), ("count", Field.TYPE_INT32)],
        [("item", "Item"), ("id", Field.TYPE_STRING)],
    )
    seen: list[Any] = []

    async def fake_call(request: Any, **_: Any) -> Any:
        seen.append(request)
        return response(item={"user_id": "x"}, id="y")

    async with Channel(backend.address) as channel:
        transcoders = {
            each.template: transcoder.Transcoder(each, channel, 1, Turns(), Gate(1))
            for each in http_rules.bindings_of([service])
        }
    for each in transcoders.values():
        response = each._binding.response
        each._call = fake_call

    async def answer(template: str, fields: dict[str, str], body: bytes = b"", query: bytes = b"") -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        caller = Caller(b"", ())
        transcoders[template].answer(fields, caller, Request("POST", b"/", query, body=body), done.set_result)
        return await done

    touched = await answer("/v1/things/{id}:touch", {"id": "a"}, b'{"id":"a","count":3}')
    other = await answer("/v1/things/{id}:touch", {"id": "a"}, b'{"id":"b","count":3}')
    wrong = await answer("/v1/things/{id}:touch", {"id": "a"}, b'{"count":"x"}')
    shown = await answer("/v1/things", {}, query=b"id=%C3%A9&count=4")
    refused = await answer("/v1/things", {}, query=b"count=four&other=1")
    deleted = await answer("/v1/things/{count}", {"count": "7"})
    assert [(each.http_status, each.value) for each in (touched, shown, deleted)] == [
        (200, {"item": {"user_id": "x"}, "id": "y"}),
        (200, {"user_id": "x"}),
        (200, {"item": {"user_id": "x"}, "id": "y"}),
    ]
    assert [(each.id, each.count) for each in seen] == [("a", 3), ("é", 4), ("", 7)]
    refusals = [(each.http_status, *(kind.fields for kind in each.refused)) for each in (other, wrong, refused)]
    assert refusals == [(400, ("id",)), (400, ("count",)), (400, ("*", "count"))]


async def test_a_service_that_cannot_be_served_stops_the_start(backend: Backend) -> None:
    service = service_type([HttpRule(post="/v1", body="*")], [("data", Field.TYPE_BYTES)])
    async with Channel(backend.address) as channel:
        with pytest.raises(UnsupportedBinding, match="data"):
            Application(Settings(), channel, [service], [])


async def test_a_success_is_not_logged(gateway: Gateway, service: FakeUserService) -> None:
    service.reply = pb.UpdateUserResponse()
    with structlog.testing.capture_logs() as lines:
        assert (await gateway.post("/v1/users", {"user_id": "1"})).status_code == 201
    assert lines == []


def test_a_response_does_not_wait_for_an_acknowledgement() -> None:
    """With Nagle's algorithm, a response on a persistent connection would wait for a delayed acknowledgement."""
    with bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
