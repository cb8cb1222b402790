"""Credentials are verified from the head of a request: what is read and which places are taken before that."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2
import pytest
from google.rpc import code_pb2
from structlog.testing import capture_logs
from userfold.internal.v1.credential_service_pb2 import CheckCredentialResponse

from gateway import app
from gateway.errors.rendering import Refusal, reason_of
from gateway.http import content_encoding
from gateway.http.handler import Body
from gateway.http.messages import Request
from gateway.settings import Settings
from gateway.upstream import credential_cache
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import CONTRACT_VERSION, Account, Caller, Verifier, caller_of
from runtime.reporting.origin import Origin
from tests.gateway.fakes import Failure, FakeUserService
from tests.gateway.messages import error_info, reasons, status_with
from tests.gateway.running import Backend, Gateway, running_gateway
from tests.support.waiting import turns, until

_CALLS = {
    "update": ("POST", "/v1/users", b'{"user_id":"1"}'),
    "batch": ("POST", "/v1/users/batch", b'[{"user_id":"1"}]'),
    "look-up": ("POST", "/v1/users:lookup", b"{}"),
    "read": ("GET", "/v1/users/1", b""),
    "erasure": ("DELETE", "/v1/users/1", b""),
    "not stored": ("POST", "/v1/events/batch", b"[]"),
}
BOMB = gzip.compress(b"[" + b"[]," * 3_000_000 + b"1]")


def send(gateway: Gateway, key: str | None, call: str = "read") -> asyncio.Task[httpx2.Response]:
    method, path, content = _CALLS[call]
    headers = {} if key is None else {"X-Moesif-Application-Id": key}
    if content == BOMB:
        headers["Content-Encoding"] = "gzip"
    request = gateway.client.build_request(method, path, content=content, headers=headers)
    if key is None:
        del request.headers["X-Moesif-Application-Id"]
    return asyncio.ensure_future(gateway.client.send(request))


@pytest.fixture
async def gateway(backend: Backend, service: FakeUserService) -> AsyncIterator[Gateway]:
    """A gateway that has verified no credential."""
    async with running_gateway(backend.address) as running:
        yield running


@pytest.mark.parametrize("call", _CALLS)
async def test_a_request_without_a_credential_is_refused_without_a_call(
    gateway: Gateway, service: FakeUserService, call: str
) -> None:
    answer = await send(gateway, None, call)
    assert (answer.status_code, reasons(answer.json())) == (401, ["CREDENTIAL_MISSING"])
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (service.checks, service.requests) == ([], [])


@pytest.mark.parametrize("path", ["/v1/config", "/v1/rules", "/health/probe", "/healthz"])
async def test_constants_need_no_credential(gateway: Gateway, service: FakeUserService, path: str) -> None:
    assert (await gateway.client.get(path)).status_code == 200
    assert service.checks == []


async def test_the_head_alone_decides_whether_the_body_is_kept(backend: Backend, service: FakeUserService) -> None:
    known = {b"x-moesif-application-id": b"known"}
    service.unknown = {"unknown"}
    async with Channel(backend.address) as channel:
        application = app.Application(Settings(), channel)

        def decided(path: bytes, headers: dict[bytes, bytes]) -> Any:
            exchange = application.begin("POST", path, headers)
            if exchange.body is not Body.UNWANTED:
                return exchange.body, exchange.body_limit
            with capture_logs() as lines:
                exchange.handle(Request("POST", path), lambda _: None)
                application.flush()
            return [(line["reason"], line["route"]) for line in lines]

        application.flush()
        for path in (b"/v1/users", b"/v1/users/batch", b"/v1/events/batch"):
            for blank in ({}, {b"x-moesif-application-id": b""}, {b"authorization": b""}):
                assert decided(path, blank) == [("CREDENTIAL_MISSING", path.decode())]
            assert decided(path, {b"x-moesif-application-id": b"k" * 5000}) == [("CREDENTIAL_UNKNOWN", path.decode())]
        assert decided(b"/v1/users", known) == (Body.KEPT, content_encoding.OBJECT_BYTES)
        assert decided(b"/v1/users/batch", known) == (Body.KEPT, content_encoding.ARRAY_BYTES)
        assert decided(b"/v1/users:batchDelete", known) == (Body.KEPT, content_encoding.LIST_BYTES)
        assert decided(b"/v1/subscriptions", known) == (Body.DISCARDED, content_encoding.OBJECT_BYTES)
        assert decided(b"/v1/events/batch", known) == (Body.DISCARDED, content_encoding.ARRAY_BYTES)
        assert decided(b"/nowhere", {}) == (Body.DISCARDED, content_encoding.OBJECT_BYTES)


@pytest.mark.unmeasured
@pytest.mark.parametrize("call", ["update", "batch"])
async def test_nothing_is_inflated_before_the_credential_is_verified(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    inflated: list[int] = []
    slices = content_encoding.slices

    def counted(sent: bytes, *more: Any) -> Any:
        inflated.append(len(sent))
        return slices(sent, *more)

    monkeypatch.setattr(content_encoding, "slices", counted)
    monkeypatch.setitem(_CALLS, call, (*_CALLS[call][:2], BOMB))
    service.unknown = {"unknown"}
    for key, reason in ((None, "CREDENTIAL_MISSING"), ("unknown", "UNEXPLAINED")):
        answer = await send(gateway, key, call)
        assert (answer.status_code, reasons(answer.json())) == (401, [reason])
    assert inflated == []
    await send(gateway, "known", call)
    assert inflated == [len(BOMB)]


@pytest.mark.parametrize("call", ["update", "batch", "read", "not stored"])
async def test_a_credential_is_checked_once_and_then_known(
    gateway: Gateway, service: FakeUserService, call: str
) -> None:
    service.checking = asyncio.Event()
    waiting = [send(gateway, "a", call) for _ in range(5)]
    await until(lambda: bool(service.checks))
    assert service.requests == []
    service.checking.set()
    assert all(answer.is_success for answer in await asyncio.gather(*waiting))
    assert (await send(gateway, "a", call)).is_success
    assert service.checks == ["a"]


async def test_a_refused_credential_is_remembered_for_a_while(
    backend: Backend, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = status_with(code_pb2.UNAUTHENTICATED, "Who?", error_info("CREDENTIAL_UNKNOWN"))
    service.check_failure = Failure(grpc.StatusCode.UNAUTHENTICATED, trailer=status.SerializeToString())
    now = 100.0
    async with Channel(backend.address) as channel:
        verifier = Verifier(channel)
        monkeypatch.setattr(verifier, "_loop", Clock(lambda: now))
        caller = caller_of({b"authorization": b"Bearer x"})
        assert caller
        assert isinstance(refused := await verified(verifier, caller), Refusal)
        assert (refused.http_status, reason_of(refused.status)) == (401, "CREDENTIAL_UNKNOWN")
        assert verifier.refusal(caller) is refused
        now = 103.1
        assert (verifier.refusal(caller), verifier.recognize(caller)) == (None, False)
        service.check_failure = None
        assert await verified(verifier, caller) == ("app-Bearer x", "id-Bearer x")
        assert verifier.recognize(caller)
        assert (caller.application, caller.credential) == ("app-Bearer x", "id-Bearer x")
        assert caller.digest not in repr(caller.metadata).encode()


@pytest.mark.parametrize(
    ("failure", "http", "reason"),
    [
        (Failure(grpc.StatusCode.UNAVAILABLE), 503, "SERVER_UNAVAILABLE"),
        (Failure(grpc.StatusCode.DEADLINE_EXCEEDED), 504, "SERVER_TOO_SLOW"),
        (
            Failure(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                trailer=status_with(
                    code_pb2.RESOURCE_EXHAUSTED, "Later.", error_info("OVERLOADED")
                ).SerializeToString(),
            ),
            429,
            "OVERLOADED",
        ),
    ],
)
async def test_a_failed_check_means_that_nothing_was_written_and_is_not_remembered(
    gateway: Gateway, service: FakeUserService, failure: Failure, http: int, reason: str
) -> None:
    service.check_failure = failure
    answer = await send(gateway, "a", "update")
    assert (answer.status_code, reasons(answer.json())) == (http, [reason])
    service.check_failure = None
    assert (await send(gateway, "a", "update")).status_code == 201
    assert (service.checks, len(service.requests)) == (["a", "a"], 1)


@pytest.mark.parametrize("failure", [None, Failure(grpc.StatusCode.UNIMPLEMENTED)])
async def test_an_older_server_gets_no_calls(
    gateway: Gateway, service: FakeUserService, failure: Failure | None
) -> None:
    service.check_failure, service.contract = failure, 0
    for call in ("update", "batch", "read"):
        answer = await send(gateway, "a", call)
        assert (answer.status_code, reasons(answer.json())) == (503, ["SERVER_TOO_OLD"])
    assert (service.requests, service.checks) == ([], ["a"] * 3)
    # After the server's update, it is asked again.
    service.check_failure, service.contract = None, CONTRACT_VERSION
    assert (await send(gateway, "a", "update")).status_code == 201


async def test_the_deadline_of_a_check_is_3_s() -> None:
    seconds: list[float] = []

    class Slow:
        def unary_unary(self, *_: Any, **__: Any) -> Any:
            async def call(*_: Any, **options: Any) -> Any:
                seconds.append(options["timeout"])
                return CheckCredentialResponse(application_id="a", contract=CONTRACT_VERSION)

            return call

    channel: Any = Slow()
    await verified(Verifier(channel), Caller(b"a", ()))
    assert seconds == [3.0]


async def test_invented_credentials_take_no_places_of_valid_ones(
    gateway: Gateway, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """400 requests, each with a new credential whose check does not end, and then valid ones of each kind."""
    for call in ("read", "batch", "update"):
        assert (await send(gateway, "valid", call)).is_success
    monkeypatch.setattr(app, "_TURN_AWAY_SECONDS", 0.01)
    monkeypatch.setattr(credential_cache, "_CHECK_SECONDS", 60.0)
    service.checking = asyncio.Event()
    flood = [send(gateway, f"made up {number}", call) for number in range(200) for call in ("read", "batch")]
    await until(lambda: sum(task.done() for task in flood) == 400 - 64)
    assert {task.result().status_code for task in flood if task.done()} == {429}
    await until(lambda: len(service.checks) == 1 + 32)
    for call in ("read", "batch", "update"):
        assert (await send(gateway, "valid", call)).is_success
    service.checking.set()
    await asyncio.gather(*flood)


async def test_the_number_of_requests_that_wait_for_one_check_has_a_limit(
    backend: Backend, service: FakeUserService
) -> None:
    service.checking = asyncio.Event()
    async with Channel(backend.address) as channel:
        verifier = Verifier(channel)
        outcomes: list[Any] = []
        caller, other = Caller(b"a", ()), Caller(b"b", ())
        for _ in range(100):
            assert verifier.has_room(caller)
            verifier.verify(caller, Origin("r"), outcomes.append)
        assert (verifier.has_room(caller), verifier.has_room(other)) == (False, False)
        service.checking.set()
        await verifier.finished()
        await turns()
        assert len(outcomes) == 100
        assert verifier.has_room(other)


async def test_unknown_credentials_evict_no_verified_one_and_verified_ones_have_a_limit(
    backend: Backend, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_cache, "_KNOWN", 2)
    monkeypatch.setattr(credential_cache, "_REFUSED", 3)
    service.unknown = {f"unknown {number}" for number in range(10)}
    async with Channel(backend.address) as channel:
        verifier = Verifier(channel)

        async def check(key: str) -> None:
            caller = caller_of({b"x-moesif-application-id": key.encode()})
            assert caller
            if not verifier.recognize(caller):
                await verified(verifier, caller)

        for key in ("a", "b", *service.unknown, "a", "c", "a"):
            await check(key)
        assert sorted(verifier._known.values()) == [("app-a", "id-a"), ("app-c", "id-c")]
        assert len(verifier._refused) == 3
        assert service.checks.count("a") == 1


class Answering:
    """A channel to a server that knows every credential that does not begin with `unknown`."""

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        async def call(*_: Any, metadata: Any, **__: Any) -> Any:
            key: str = metadata[0][1]
            if key.startswith("unknown"):
                nothing = grpc.aio.Metadata()
                raise grpc.aio.AioRpcError(grpc.StatusCode.UNAUTHENTICATED, nothing, nothing, None, None)
            return CheckCredentialResponse(application_id=key, contract=CONTRACT_VERSION)

        return call


async def test_the_last_10_000_verified_and_1_000_refused_credentials_are_remembered() -> None:
    channel: Any = Answering()
    verifier = Verifier(channel)

    def caller(key: str) -> Caller:
        return Caller(key.encode(), (("x-moesif-application-id", key),))

    def recognized(key: str) -> str | None:
        known = caller(key)
        return known.application if verifier.recognize(known) else None

    async def verify(*keys: str) -> None:
        for key in keys:
            verifier.verify(caller(key), Origin("r"), lambda _: None)
        await verifier.finished()

    await verify(*(str(number) for number in range(10_000)))
    assert recognized("0") == "0"
    await verify("new")
    assert len(verifier._known) == 10_000
    assert [recognized(key) for key in ("0", "1", "2", "new")] == ["0", None, "2", "new"]

    await verify(*(f"unknown {number}" for number in range(1_000)))
    # A credential that is refused again becomes the newest one.
    await verify("unknown 5", *(f"unknown new{number}" for number in range(10)))
    assert len(verifier._refused) == 1_000
    found = [verifier.refusal(caller(f"unknown {each}")) is not None for each in ("0", "10", "11", "5", "new0")]
    assert found == [False, False, True, True, True]


async def test_a_credential_that_the_server_no_longer_knows_is_checked_again(
    gateway: Gateway, service: FakeUserService
) -> None:
    assert (await send(gateway, "a", "update")).status_code == 201
    service.reply = Failure(grpc.StatusCode.UNAUTHENTICATED)
    service.unknown = {"a"}
    assert (await send(gateway, "a", "update")).status_code == 401
    requests = len(service.batches)
    assert (await send(gateway, "a", "update")).status_code == 401
    assert (service.checks, len(service.batches)) == (["a", "a"], requests)


async def test_a_client_that_disconnects_during_the_check_of_its_credential_reads_nothing(
    backend: Backend, service: FakeUserService
) -> None:
    service.checking = asyncio.Event()
    async with Channel(backend.address) as channel:
        application = app.Application(Settings(), channel)
        for call in ("read", "update"):
            method, path, content = _CALLS[call]
            headers = {b"x-moesif-application-id": b"a"}
            exchange = application.begin(method, path.encode(), headers)
            exchange.handle(Request(method, path.encode(), b"", headers, content), lambda _: None)
            exchange.abandon()
        service.checking.set()
        await application.finished()
    # A write goes on: some clients do not wait for the response.
    assert [type(request).__name__ for request in service.requests] == ["UpdateUserRequest"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({b"x-moesif-application-id": b"a"}, {b"x-moesif-application-id": b"b"}),
        ({b"x-moesif-application-id": b"a"}, {b"authorization": b"a"}),
        ({b"x-moesif-application-id": b"a"}, {b"x-moesif-application-id": b"a", b"authorization": b"b"}),
        ({b"x-moesif-application-id": b"ab"}, {b"x-moesif-application-id": b"a", b"authorization": b"b"}),
    ],
)
def test_callers_differ_by_all_of_their_credentials(one: dict[bytes, bytes], other: dict[bytes, bytes]) -> None:
    callers = caller_of(one), caller_of(other)
    assert callers[0]
    assert callers[1]
    assert callers[0].digest != callers[1].digest


async def verified(verifier: Verifier, caller: Caller) -> Account | Exception:
    done: asyncio.Future[Account | Exception] = asyncio.get_running_loop().create_future()
    verifier.verify(caller, Origin("r"), done.set_result)
    return await done


class Clock:
    """The running event loop, at a time that the test sets."""

    def __init__(self, now: Any) -> None:
        self.time = now

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio.get_running_loop(), name)
