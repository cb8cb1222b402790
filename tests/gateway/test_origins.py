"""The request id and the trace of a request: accepted, passed on, logged and answered."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from userfold.v1 import user_service_pb2 as pb

from runtime.reporting.origin import Addresses
from runtime.reporting.request_log import RequestLog
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import error_info, status_with
from tests.gateway.running import Backend, Gateway, running_gateway
from tests.gateway.upstream.test_batch_client import one_in_flight
from tests.support.waiting import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NEW = re.compile("[0-9a-f]{24}")


@pytest.fixture
async def logging_gateway(backend: Backend) -> AsyncIterator[Gateway]:
    """A gateway that logs every request, and the networks of clients."""
    async with running_gateway(backend.address, request_log=RequestLog(1.0, Addresses.TRUNCATED)) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/users"),
        ("GET", "/v1/users/1"),
        ("GET", "/nowhere"),
        ("GET", "/v1/rules"),
        ("OPTIONS", "/v1/users"),
    ],
)
async def test_every_response_has_the_id_of_its_request(
    gateway: Gateway, service: FakeUserService, method: str, path: str
) -> None:
    body = b'{"user_id":"1"}' if method == "POST" else b""
    answer = await gateway.client.request(method, path, content=body, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert "traceparent" not in answer.headers
    answer = await gateway.client.request(method, path, content=body, headers={"Traceparent": TRACE})
    assert NEW.fullmatch(answer.headers["x-request-id"])
    assert answer.headers["traceparent"] == TRACE


async def test_an_id_that_is_none_is_replaced_and_never_logged(gateway: Gateway) -> None:
    gateway.application.flush()
    with capture_logs() as lines:
        answer = await gateway.client.get(
            "/nowhere", headers={"X-Request-Id": "john@acmeinc.com", "Traceparent": "john@acmeinc.com"}
        )
    assert NEW.fullmatch(answer.headers["x-request-id"])
    assert [line["request_id"] for line in lines] == [answer.headers["x-request-id"]]
    assert "john" not in str(lines) + str(answer.headers)


@pytest.mark.parametrize(
    "request_",
    [
        b"\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Request-Id: mine-1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\nLong: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["no head", "no host", "a long head"],
)
async def test_a_request_that_its_connection_refuses_has_an_id_too(gateway: Gateway, request_: bytes) -> None:
    gateway.application.flush()
    with capture_logs() as lines:
        answer = await gateway.raw(request_)
    (request_id,) = re.findall(rb"\r\nx-request-id: (\S+)\r\n", answer)
    assert request_id == b"mine-1" or request_[:1] == b"\0"
    assert [line["request_id"] for line in lines] == [request_id.decode()]


async def test_requests_that_are_sent_together_have_ids_of_their_own(
    gateway: Gateway, service: FakeUserService
) -> None:
    refused = pb.UpdateUserResult(error=status_with(3, "", error_info("INVALID_REQUEST")))
    service.outcomes = {"2": refused, "3": refused}
    gateway.application.flush()
    first = await one_in_flight(gateway, service)
    sent: list[Any] = [
        asyncio.ensure_future(
            gateway.post(
                "/v1/users", {"user_id": str(number)}, **{"X-Request-Id": f"r-{number}", "User-Agent": "curl/1"}
            )
        )
        for number in range(4)
    ]
    await until(lambda: gateway.waiting == 4)
    with capture_logs() as lines:
        service.may_answer.set()
        answers = await asyncio.gather(*sent)
        gateway.application.flush()
    await first
    assert [answer.headers["x-request-id"] for answer in answers] == [f"r-{number}" for number in range(4)]
    by_user = dict(zip(service.user_ids[-1], service.batches[-1].origins, strict=True))
    assert by_user == {str(number): f"r-{number} curl/1 -" for number in range(4)}
    # The first in a line of its own; the second in the one for all further ones.
    assert {line["request_id"] for line in lines} == {"r-2", "r-3"}
    assert {(line["application"], line["credential"]) for line in lines} == {("app-key", "id-key")}


async def test_the_check_of_a_credential_has_the_id_of_the_request_that_caused_it(
    gateway: Gateway, service: FakeUserService
) -> None:
    await gateway.client.get("/v1/users/1", headers={"Authorization": "Bearer new", "X-Request-Id": "r-1"})
    assert service.check_metadata[-1]["x-request-id"] == "r-1"


async def test_one_line_is_logged_for_each_request_if_that_is_asked_for(
    logging_gateway: Gateway, service: FakeUserService
) -> None:
    client = logging_gateway.client
    headers = {
        "X-Request-Id": "r-1",
        "Traceparent": TRACE,
        "X-Moesif-SDK": "moesif-browser-js/1.8",
        "User-Agent": "evil/1",
    }
    with capture_logs() as lines:
        await client.post("/v1/users", content=b'{"user_id":"john@acmeinc.com"}', headers=headers)
        await client.get("/v1/users/john@acmeinc.com", headers={"X-Request-Id": "r-2"})
        await client.get("/nowhere", headers={"X-Request-Id": "r-3"})
        await client.get("/readyz")
        await client.options("/v1/users")
    requests = [line for line in lines if line["event"] == "request"]
    for line in requests:
        assert 0 < line.pop("milliseconds") < 60_000
    common = {"event": "request", "log_level": "info", "client_address": "127.0.0.0/24", "reasons": []}
    known = common | {"application": "app-key", "credential": "id-key"}
    update = known | {"method": "POST", "route": "/v1/users", "http_status": 201, "body_bytes": 30}
    read = known | {"method": "GET", "route": "/v1/users/{user_id}", "http_status": 200, "body_bytes": 0}
    nowhere = known | {"method": "GET", "route": "none", "http_status": 404, "body_bytes": 0}
    library = requests[1]["client_library"]
    assert requests == [
        update | {"request_id": "r-1", "trace_id": TRACE[3:35], "client_library": "moesif-browser-js/1.8"},
        read | {"request_id": "r-2", "client_library": library},
        nowhere | {"request_id": "r-3", "client_library": library, "reasons": ["ROUTE_NOT_FOUND"]},
    ]
    assert "john" not in str(lines)
