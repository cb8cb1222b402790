"""What a gateway counts among the refusals of an application, and how it reports the counts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from userfold.v1 import user_service_pb2 as pb
from userfold.v1 import warning_pb2

from gateway.errors.answer import Answer, Refused
from gateway.http.content_encoding import OBJECT_BYTES
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Caller
from gateway.upstream.refusal_reporter import RefusalReporter
from runtime import refusal_counts
from tests.gateway.fakes import FakeUserService
from tests.gateway.messages import bad_request, error_info, results, status_with
from tests.gateway.running import Backend, Gateway, running_gateway

_REFUSED = Answer(400, {}, refused={Refused("INVALID_REQUEST", 400, (("user_id", "TOO_LONG"),)): 1})


@pytest.fixture
async def gateway(backend: Backend, service: FakeUserService) -> AsyncIterator[Gateway]:
    async with running_gateway(backend.address) as running:
        yield running


@pytest.fixture
async def reporter(backend: Backend, service: FakeUserService) -> AsyncIterator[RefusalReporter]:
    async with Channel(backend.address) as channel:
        yield RefusalReporter(channel, lambda: 7.0)


def add(reporter: RefusalReporter, *keys: str) -> None:
    for key in keys:
        caller = Caller(b"", (("x-moesif-application-id", key),), f"app-{key}")
        reporter.add("/v1/users", _REFUSED, caller, "curl/7.88.1")


def counted(*reports: Any) -> set[tuple[Any, ...]]:
    """What reports say together: reason, method, fields, library, count, and `warning` for a warning."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for report in reports:
        for each in report.refusals:
            fields = tuple((field.field, field.reason) for field in each.fields)
            counts[each.reason, each.method, fields, each.client_library, each.is_warning] += each.count
    return {(*kind, count, *(["warning"] if is_warning else [])) for (*kind, is_warning), count in counts.items()}


async def everything_reported(gateway: Gateway) -> None:
    """Let the gateway report all that it has counted. On a busy machine, a report may have to be sent again."""
    await gateway.application.finished()
    while gateway.application._refusals._counts.pending:
        await gateway.application.finished()


async def reported(gateway: Gateway, service: FakeUserService) -> set[tuple[Any, ...]]:
    """What the gateway reports, in one report, or in several where the requests took longer than a period."""
    await everything_reported(gateway)
    return counted(*(report for _, report in service.reports))


@pytest.fixture(autouse=True)
async def nothing_counted(gateway: Gateway, service: FakeUserService) -> None:
    """Let the shared gateway report what other tests were refused."""
    await everything_reported(gateway)
    service.reports.clear()


async def test_what_a_gateway_and_its_server_refuse_is_reported(gateway: Gateway, service: FakeUserService) -> None:
    python = {"User-Agent": "moesifapi-python/1.5.5"}
    status = status_with(3, "", error_info("INVALID_REQUEST"), bad_request("user_id", "metadata.secret"))
    service.outcomes["refused"] = pb.UpdateUserResult(error=status)
    await gateway.post("/v1/users", {"user_id": []}, **python)
    await gateway.post("/v1/users", {"user_id": {}}, **python)
    await gateway.post("/v1/users", {"user_id": "refused"}, **python)
    await gateway.post("/v1/users", b"{", **{"User-Agent": "john@acmeinc.com"})
    await gateway.post("/v1/users", b"{" + b" " * OBJECT_BYTES, **python)
    await gateway.post("/v1/user/john", {}, **python)
    assert await reported(gateway, service) == {
        ("INVALID_REQUEST", "/v1/users", (("user_id", "WRONG_TYPE"),), "moesifapi-python/1.5.5", 2),
        ("INVALID_REQUEST", "/v1/users", (("metadata", "RULE"), ("user_id", "RULE")), "moesifapi-python/1.5.5", 1),
        ("BODY_NOT_JSON", "/v1/users", (), "other", 1),
        ("BODY_TOO_LARGE", "none", (), "moesifapi-python/1.5.5", 1),
        ("ROUTE_NOT_FOUND", "POST /v1/user/*", (), "moesifapi-python/1.5.5", 1),
    }


async def test_the_items_of_a_batch_and_warnings_are_reported(gateway: Gateway, service: FakeUserService) -> None:
    curl = {"User-Agent": "curl/7.88.1"}
    warning = warning_pb2.Warning(field="users[0].metadata.phone", reason="KEPT_AS_TEXT")
    service.reply = results({"warnings": [warning]}, {})
    items = [{"user_id": []}, {"user_id": "warned"}, {"user_id": "a", "john@acmeinc.com": 1}, 7]
    await gateway.post("/v1/users/batch", items, **curl)
    service.reply = None
    await gateway.post("/v1/users", {"user_id": "a", "john@acmeinc.com": 1}, **curl)
    await gateway.post("/v1/subscriptions", {}, **curl)
    assert await reported(gateway, service) == {
        ("BATCH_PARTLY_REFUSED", "/v1/users/batch", (), "curl/7.88.1", 1),
        ("INVALID_REQUEST", "/v1/users/batch", (("user_id", "WRONG_TYPE"),), "curl/7.88.1", 1),
        ("INVALID_REQUEST", "/v1/users/batch", (("*", "WRONG_TYPE"),), "curl/7.88.1", 1),
        ("UNKNOWN_FIELD", "/v1/users/batch", (("*", "UNKNOWN_FIELD"),), "curl/7.88.1", 1, "warning"),
        ("KEPT_AS_TEXT", "/v1/users/batch", (("metadata", "KEPT_AS_TEXT"),), "curl/7.88.1", 1, "warning"),
        ("UNKNOWN_FIELD", "/v1/users", (("*", "UNKNOWN_FIELD"),), "curl/7.88.1", 1, "warning"),
        ("NOT_STORED", "/v1/subscriptions", (), "curl/7.88.1", 1, "warning"),
    }


async def test_a_request_without_a_verified_application_is_not_reported(
    gateway: Gateway, service: FakeUserService
) -> None:
    service.unknown.add("unknown")
    await gateway.post("/v1/users", {}, **{"X-Moesif-Application-Id": "unknown"})
    await gateway.post("/v1/nothing", {}, **{"X-Moesif-Application-Id": "never seen"})
    await gateway.application.finished()
    assert service.reports == []


async def test_every_call_says_that_its_refusals_are_reported(gateway: Gateway, service: FakeUserService) -> None:
    await gateway.post("/v1/users", {"user_id": "a"})
    await gateway.post("/v1/users", {"user_id": "a"})
    await gateway.post("/v1/users/batch", [{"user_id": "a"}])
    await gateway.client.get("/v1/users/a")
    assert [metadata["x-userfold-reports-refusals"] for metadata in service.metadata] == ["1"] * 4


async def test_each_application_has_a_report_of_its_own(reporter: RefusalReporter, service: FakeUserService) -> None:
    add(reporter, "a", "b", "a")
    await reporter.finished()
    ((a, of_a), (b, of_b)) = service.reports
    assert (a, [each.count for each in of_a.refusals], b, [each.count for each in of_b.refusals]) == (
        "a",
        [2],
        "b",
        [1],
    )
    assert of_a.refusals[0].first_time.seconds == 7


@pytest.mark.parametrize(
    ("code", "repeated"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, []),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ["a"]),
        (grpc.StatusCode.UNIMPLEMENTED, ["a", "b"]),
        (grpc.StatusCode.UNAVAILABLE, ["a", "b"]),
    ],
)
async def test_a_report_that_fails_is_sent_again_unless_its_application_is_at_fault(
    reporter: RefusalReporter, service: FakeUserService, code: grpc.StatusCode, repeated: list[str]
) -> None:
    service.report_failures["a"] = code
    add(reporter, "a", "b")
    await reporter.finished()
    service.report_failures, service.reports = {}, []
    await reporter.finished()
    assert [key for key, _ in service.reports] == repeated


async def test_a_flood_of_refusals_is_a_few_reports(
    reporter: RefusalReporter, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_counts, "SECONDS", 0)
    for _ in range(20):
        add(reporter, *["a"] * 500)
        await asyncio.sleep(0)
    await reporter.finished()
    # One in a turn of the loop, and the last.
    assert len(service.reports) <= 21
    assert sum(each.count for _, report in service.reports for each in report.refusals) == 10_000


async def test_a_thousand_applications_are_reported_at_most(
    reporter: RefusalReporter, service: FakeUserService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.upstream.refusal_reporter.APPLICATIONS", 2)
    add(reporter, "a", "b", "c", "a")
    await reporter.finished()
    assert [key for key, _ in service.reports] == ["a", "b"]
