"""Concurrent requests in groups: each response is the same as for a request that is sent alone."""

import asyncio
from typing import Any

import grpc
import httpx2
import pytest
import structlog
from google.rpc import code_pb2
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.warning_pb2 import Warning

from gateway.app import INTERNAL, SERVICES
from gateway.calls import transcoder
from gateway.errors.rendering import Refusal, reason_of
from gateway.http.messages import Request
from gateway.routing import http_rules
from gateway.routing.batch_methods import batch_methods_of
from gateway.routing.http_rules import bindings_of
from gateway.upstream.batch_client import BatchClient
from gateway.upstream.batcher import Limits
from gateway.upstream.credential_cache import Caller
from tests.gateway.fakes import Failure, FakeUserService
from tests.gateway.messages import bad_request, error_info, reasons, results, retry_info, status_with, stored
from tests.gateway.running import Backend, Gateway, running_gateway
from tests.support.waiting import later, turns, until

KEY = {"X-Moesif-Application-Id": "key"}


def warned(*fields: str) -> pb.UpdateUserResult:
    return stored(*(Warning(field=each, reason="KEPT_AS_TEXT", description="x") for each in fields))


def refused(code: int, *details: Any) -> pb.UpdateUserResult:
    return pb.UpdateUserResult(error=status_with(code, "No.", *details))


OUTCOMES = {
    "saved": stored(),
    "warned": warned("metadata.phone", 'metadata["users[1].x"]'),
    "invalid": refused(code_pb2.INVALID_ARGUMENT, error_info("INVALID_REQUEST"), bad_request("user_id", "metadata.x")),
    "large": refused(code_pb2.INVALID_ARGUMENT, error_info("PROFILE_TOO_LARGE")),
    "unknown": refused(code_pb2.UNAVAILABLE, error_info("WRITE_OUTCOME_UNKNOWN"), retry_info(1)),
    "later": refused(code_pb2.UNAVAILABLE, error_info("DATABASE_UNAVAILABLE"), retry_info(2, 5)),
    "overloaded": refused(code_pb2.RESOURCE_EXHAUSTED, error_info("OVERLOADED"), retry_info(3)),
    "defect": refused(code_pb2.INTERNAL, error_info("INTERNAL", error_id="abc")),
    "denied": refused(code_pb2.PERMISSION_DENIED, error_info("SCOPE_MISSING")),
    "aborted": refused(code_pb2.ABORTED),
}
BODIES: list[Any] = [
    *({"user_id": user_id, "extra": 1, "metadata": {"n": 2**63}} for user_id in OUTCOMES),
    *({"user_id": user_id} for user_id in OUTCOMES),
    {"user_id": "bad", "modified_time": 5},
    [],
    b"{",
]


async def posts(gateway: Gateway, bodies: list[Any], **headers: str) -> list[httpx2.Response]:
    return list(await asyncio.gather(*(gateway.post("/v1/users", body, **KEY | headers) for body in bodies)))


def comparable(answer: httpx2.Response) -> Any:
    """The response without its date and its request id."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    return answer.status_code, headers, answer.text


async def one_in_flight(gateway: Gateway, service: FakeUserService) -> asyncio.Task[Any]:
    """Keep a group in flight until `service.may_answer`: requests that are posted meanwhile are one group."""
    service.may_answer.clear()
    first = asyncio.ensure_future(gateway.post("/v1/users", {"user_id": "first"}, **KEY))
    await service.arrived.wait()
    return first


async def posts_together(gateway: Gateway, service: FakeUserService, bodies: list[Any]) -> list[httpx2.Response]:
    """Post while a group is in flight, which ends when all these requests are queued."""
    answers = asyncio.ensure_future(posts(gateway, bodies))
    await until(lambda: gateway.waiting == len(bodies))
    service.may_answer.set()
    return await answers


async def posts_at_once(gateway: Gateway, service: FakeUserService, bodies: list[Any]) -> list[httpx2.Response]:
    """Post to a gateway that has seen no such credential: when that is checked, all go on in one turn of the loop."""
    service.checking = asyncio.Event()
    answers = asyncio.ensure_future(posts(gateway, bodies))
    await until(lambda: gateway.application._verifier._waiting == len(bodies))
    service.checking.set()
    return await answers


@pytest.fixture
def one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcoder, "Limits", lambda seconds: Limits(seconds, groups=1, quiet_items=0))


def _of_batches_alone(*services: Any) -> dict[str, Any]:
    """The batch methods, but no single method has one."""
    return {f"batch of {name}": method for name, method in batch_methods_of(*services).items()}


@pytest.mark.usefixtures("one_group")
async def test_each_response_is_the_same_as_for_a_request_that_is_sent_alone(
    backend: Backend, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.outcomes = OUTCOMES
    async with running_gateway(backend.address) as gateway:
        first = await one_in_flight(gateway, service)
        together = [comparable(each) for each in await posts_together(gateway, service, BODIES)]
        await first
    sent = [["first"], sorted([*OUTCOMES, *OUTCOMES])]
    assert [sorted(group) for group in service.user_ids] == sent

    service.reset()
    service.outcomes = OUTCOMES
    monkeypatch.setattr(http_rules, "batch_methods_of", _of_batches_alone)
    alone = []
    async with running_gateway(backend.address) as gateway:
        for body in BODIES:
            service.reply = None
            alone.append(comparable(await gateway.post("/v1/users", body, **KEY)))
    assert service.batches == []
    assert together == alone


async def test_requests_with_different_credentials_are_never_in_one_group(
    backend: Backend, service: FakeUserService
) -> None:
    callers = [
        {"X-Moesif-Application-Id": "a"},
        {"X-Moesif-Application-Id": "b"},
        {"Authorization": "Bearer a"},
        {"Authorization": "Bearer b"},
    ]
    async with running_gateway(backend.address) as gateway:
        requests = [
            gateway.post("/v1/users", {"user_id": str(number)}, **caller)
            for number, caller in enumerate(callers)
            for _ in range(5)
        ]
        assert {each.status_code for each in await asyncio.gather(*requests)} == {201}
    for ids, metadata in zip(service.user_ids, service.metadata, strict=True):
        (number,) = set(ids)
        given = {"x-moesif-application-id", "authorization"} & metadata.keys()
        assert {name: metadata[name] for name in given} == {
            name.lower(): value for name, value in (KEY | callers[int(number)]).items()
        }


UNAUTHENTICATED = status_with(code_pb2.UNAUTHENTICATED, "Who?", error_info("CREDENTIAL_UNKNOWN"))


@pytest.mark.usefixtures("one_group")
@pytest.mark.parametrize(
    ("failure", "http", "reason"),
    [
        (
            Failure(grpc.StatusCode.UNAUTHENTICATED, trailer=UNAUTHENTICATED.SerializeToString()),
            401,
            "CREDENTIAL_UNKNOWN",
        ),
        (Failure(grpc.StatusCode.UNAVAILABLE), 503, "WRITE_OUTCOME_UNKNOWN"),
        (Failure(grpc.StatusCode.DEADLINE_EXCEEDED), 503, "WRITE_OUTCOME_UNKNOWN"),
        (Failure(grpc.StatusCode.UNIMPLEMENTED), 503, "SERVER_TOO_OLD"),
        (results({}, {}, {}, {}, {}), 201, ""),
        (pb.BatchUpdateUsersResponse(results=[pb.UpdateUserResult()] * 5), 503, "WRITE_OUTCOME_UNKNOWN"),
        (results(), 500, "INTERNAL"),
    ],
)
async def test_the_failure_of_a_group_is_the_response_to_each_of_its_requests(
    backend: Backend, service: FakeUserService, failure: Any, http: int, reason: str
) -> None:
    async with running_gateway(backend.address) as gateway:
        first = await one_in_flight(gateway, service)
        service.reply = failure
        answers = await posts_together(gateway, service, [{"user_id": "1"}] * 5)
        await first
    assert {each.status_code for each in answers} == {http}
    assert [reasons(each.json()) if reason else [""] for each in answers] == [[reason]] * 5
    assert len(service.batches) == 2


@pytest.mark.usefixtures("one_group")
async def test_the_outcome_of_a_sent_request_is_unknown_after_its_deadline(
    backend: Backend, service: FakeUserService
) -> None:
    service.may_answer.clear()
    async with running_gateway(backend.address, rpc_seconds=20.0) as gateway:
        asked = asyncio.ensure_future(posts_at_once(gateway, service, [{"user_id": "1"}] * 5))
        await service.arrived.wait()
        await later(15)
        assert not asked.done()
        await later(6)
        await until(asked.done)
        answers = asked.result()
        service.may_answer.set()
    assert {each.status_code for each in answers} == {503}
    assert [reasons(each.json()) for each in answers] == [["WRITE_OUTCOME_UNKNOWN"]] * 5


class DeafChannel:
    """A channel whose calls do not end before `end`, whatever their deadline."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.seconds: list[float] = []

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        async def call(*_: Any, **options: Any) -> Any:
            self.seconds.append(options["timeout"])
            await self.end.wait()

        return call


async def test_a_request_that_was_never_sent_is_refused_as_not_sent_in_time() -> None:
    (group,) = (
        each.batch_method for each in bindings_of(SERVICES, INTERNAL[:1]) if each.batch_method and not each.is_batch
    )
    deaf: Any = DeafChannel()
    call = BatchClient(group, deaf, Limits(50.0, groups=1, quiet_items=0, queued_items=1))
    reported: asyncio.Queue[Any] = asyncio.Queue()
    call.send(Caller(b"", ()), 15, lambda: b"{}", Request("POST", b"/"), reported.put_nowait)
    await turns()
    call.send(Caller(b"", ()), 15, lambda: b"{}", Request("POST", b"/"), reported.put_nowait)
    with pytest.raises(Refusal) as caught:
        call.send(Caller(b"", ()), 15, lambda: b"{}", Request("POST", b"/"), reported.put_nowait)
    assert reported.empty()
    assert [40 < seconds <= 50 for seconds in deaf.seconds] == [True]
    await later(60)
    outcomes = [reported.get_nowait(), reported.get_nowait(), caught.value]
    kinds = [(each.http_status, reason_of(each.status)) for each in outcomes]
    assert kinds == [(503, "WRITE_OUTCOME_UNKNOWN"), (504, "NOT_SENT_IN_TIME"), (429, "OVERLOADED")]
    deaf.end.set()
    await turns()


async def test_more_requests_than_may_be_queued_are_refused_with_429_and_retry_after(
    backend: Backend, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcoder, "Limits", lambda seconds: Limits(seconds, groups=1, quiet_items=0, queued_items=3))
    async with running_gateway(backend.address) as gateway:
        first = await one_in_flight(gateway, service)
        asked = [asyncio.ensure_future(gateway.post("/v1/users", {"user_id": "1"}, **KEY)) for _ in range(5)]
        await until(lambda: sum(each.done() for each in asked) == 2)
        service.may_answer.set()
        answers = await asyncio.gather(*asked)
        await first
    overloaded = [each for each in answers if each.status_code != 201]
    assert [(each.status_code, each.headers["retry-after"]) for each in overloaded] == [(429, "1")] * 2
    assert overloaded[0].json() == {
        "code": 8,
        "status": "RESOURCE_EXHAUSTED",
        "message": "The gateway has no room for more requests, and did not begin this one.",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "OVERLOADED", "domain": "userfold"},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retry_delay": "1s"},
        ],
    }


def posted(user_id: str, *more: str) -> bytes:
    body = f'{{"user_id":"{user_id}"}}'
    head = ["POST /v1/users HTTP/1.1", "Host: x", "X-Moesif-Application-Id: key", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "", body]).encode()


async def test_pipelined_requests_keep_their_order(gateway: Gateway, service: FakeUserService) -> None:
    ids = [str(number) for number in range(20)]
    requests = [posted(user_id) for user_id in ids[:-1]]
    answers = await gateway.raw(b"".join([*requests, posted(ids[-1], "Connection: close")]))
    assert answers.count(b"HTTP/1.1 201 Created\r\n") == 20
    assert service.user_ids == [[user_id] for user_id in ids]


@pytest.mark.usefixtures("one_group")
async def test_a_closed_connection_does_not_affect_other_clients(backend: Backend, service: FakeUserService) -> None:
    async with running_gateway(backend.address) as gateway:
        first = await one_in_flight(gateway, service)
        gone = asyncio.ensure_future(gateway.post("/v1/users", {"user_id": "gone"}, **KEY))
        others = asyncio.ensure_future(posts(gateway, [{"user_id": "1"}, {"user_id": "2"}]))
        await until(lambda: gateway.waiting == 3)
        gone.cancel()
        await asyncio.wait([gone])
        service.may_answer.set()
        assert [each.status_code for each in await others] == [201, 201]
        await first
    # As where it goes alone: what had arrived whole is done, for a client may send and not wait for the answer.
    assert [sorted(ids) for ids in service.user_ids] == [["first"], ["1", "2", "gone"]]


@pytest.mark.usefixtures("one_group")
async def test_queued_requests_are_answered_when_the_gateway_stops(backend: Backend, service: FakeUserService) -> None:
    async with running_gateway(backend.address) as gateway:
        first = await one_in_flight(gateway, service)
        waiting = asyncio.ensure_future(posts(gateway, [{"user_id": "1"}] * 3))
        await until(lambda: gateway.waiting == 3)
        gateway.listener.stop()
        await until(lambda: gateway.listener._connections.is_closing)
        service.may_answer.set()
        assert [each.status_code for each in await waiting] == [201] * 3
        await first
    assert len(service.batches) == 2


async def test_concurrent_requests_are_sent_in_groups(backend: Backend, service: FakeUserService) -> None:
    async with running_gateway(backend.address) as gateway:
        answers = await posts_at_once(gateway, service, [{"user_id": str(number)} for number in range(50)])
    assert {(each.status_code, each.text) for each in answers} == {(201, "{}")}
    assert sorted(int(each) for ids in service.user_ids for each in ids) == list(range(50))
    assert len(service.batches) == 2
    assert service.client_addresses == ["127.0.0.1"] * 50


@pytest.mark.usefixtures("one_group")
async def test_a_body_that_cannot_be_decoded_for_a_defect_fails_alone(
    backend: Backend, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = transcoder.Transcoder._decoded

    def decoded_wrongly(*given: Any) -> Any:
        item: Any = decoded(*given)
        if b"defect" in item:
            raise RuntimeError("a defect of the decoder")
        return item

    monkeypatch.setattr(transcoder.Transcoder, "_decoded", decoded_wrongly)
    async with running_gateway(backend.address) as gateway:
        first = await one_in_flight(gateway, service)
        with structlog.testing.capture_logs() as lines:
            answers = await posts_together(
                gateway, service, [{"user_id": each} for each in ("1", "defect", "warned", "2")]
            )
        await first
    assert [each.status_code for each in answers] == [201, 500, 201, 201]
    assert reasons(answers[1].json()) == ["INTERNAL"]
    assert [line["event"] for line in lines] == ["defect", "refused"]
    assert service.user_ids[-1] == ["1", "warned", "2"]


@pytest.mark.usefixtures("one_group")
async def test_a_defect_of_a_whole_group_is_logged_briefly_for_each_request(
    backend: Backend, service: FakeUserService
) -> None:
    async with running_gateway(backend.address) as gateway:
        first = await one_in_flight(gateway, service)
        service.reply = pb.BatchUpdateUsersResponse()
        with structlog.testing.capture_logs() as lines:
            answers = await posts_together(gateway, service, [{"user_id": str(number)} for number in range(20)])
        await first
    assert {(each.status_code, *reasons(each.json())) for each in answers} == {(500, "INTERNAL")}
    defects = [line for line in lines if line["event"] == "defect"]
    assert len(defects) >= 20
    assert all(line["traceback"] == defects[0]["traceback"] for line in defects)
