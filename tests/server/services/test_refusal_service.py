from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from userfold.internal.v1 import refusal_report_service_pb2 as internal_pb
from userfold.v1 import refusal_service_pb2 as pb

from runtime.refusal_counts import REASONS, Counts, Occurrences, RefusalCounts, RefusalKind
from server.errors import InvalidRequest
from server.model import Application, CredentialKind
from server.rpc.call import Call
from server.services.refusal_service import RefusalReportService, RefusalService
from tests.server.served import unstored_counts

NOW = 1_767_323_045.0
_CALL = Call(Application("app", CredentialKind.MANAGEMENT, frozenset()), (), lambda: "unix:", unstored_counts())
KIND = RefusalKind("INVALID_REQUEST", False, "/v1/users", (("user_id", "TOO_LONG"),), "curl/7.88.1")


def refusal(**fields: Any) -> pb.Refusal:
    described: dict[str, Any] = {
        "reason": "INVALID_REQUEST",
        "method": "/v1/users",
        "fields": [pb.RefusedField(field="user_id", reason="TOO_LONG")],
        "client_library": "curl/7.88.1",
        "count": 2,
        "first_time": Timestamp(seconds=int(NOW) - 2),
        "last_time": Timestamp(seconds=int(NOW) - 1),
    }
    return pb.Refusal(**{**described, **fields})


async def reported(*refusals: pb.Refusal) -> Counts:
    """What is counted of a report."""
    sent: dict[str, Counts] = {}

    async def store(counts: Any) -> dict[str, Counts]:
        sent.update(counts)
        return {}

    counts = RefusalCounts(store, lambda: NOW)
    service = RefusalReportService(counts, lambda: NOW)
    await service.ReportRefusals(internal_pb.ReportRefusalsRequest(refusals=refusals), _CALL)
    await counts.finished()
    return sent.get("app", {})


async def test_a_report_is_counted_for_the_application_of_its_credential() -> None:
    assert await reported() == {}
    assert await reported(refusal(), refusal(count=3), refusal(is_warning=True)) == {
        KIND: Occurrences(5, NOW - 2, NOW - 1),
        KIND._replace(is_warning=True): Occurrences(2, NOW - 2, NOW - 1),
    }


async def test_counts_and_times_have_bounds() -> None:
    (counted,) = (
        await reported(refusal(count=-7, first_time=Timestamp(), last_time=Timestamp(seconds=2**40)))
    ).values()
    assert counted == Occurrences(1, NOW - 3600, NOW)
    (counted,) = (await reported(refusal(count=2**62))).values()
    assert counted.count == 2**40


async def test_a_library_that_is_not_known_is_not_shown() -> None:
    libraries = {"me@acme.com": "other", "browser": "browser", "other": "other", "": ""}
    for library, expected in libraries.items():
        (kind,) = await reported(refusal(client_library=library))
        assert kind.client_library == expected


@pytest.mark.parametrize("method", ["UpdateUser", "/v1/users/{user_id}:export", "POST /v1/user/*/...", "none", ""])
async def test_a_report_names_a_method_or_a_route(method: str) -> None:
    (kind,) = await reported(refusal(method=method))
    assert kind.method == method


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "john@acmeinc.com"},
        {"reason": ""},
        {"method": "x" * 257},
        {"method": "\n"},
        {"method": "john@acmeinc.com"},
        {"fields": [pb.RefusedField(field="metadata.john", reason="TOO_LONG")]},
        {"fields": [pb.RefusedField(field="user_id", reason="too long")]},
    ],
)
async def test_a_report_with_anything_else_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await reported(refusal(), refusal(**fields))


async def test_a_report_has_a_limit_of_kinds() -> None:
    refusals = [refusal(method=f"/v1/{number}") for number in range(REASONS + 1)]
    with pytest.raises(InvalidRequest):
        await reported(*refusals)
    assert (await reported(*refusals[:-1])).popitem()


async def test_refusals_are_listed_as_they_are_stored() -> None:
    class Stored:
        async def latest(self, application_id: str) -> Sequence[tuple[RefusalKind, Occurrences]]:
            assert application_id == "app"
            return [(KIND, Occurrences(5, NOW - 2, NOW - 0.5))]

    response = await RefusalService(Stored()).ListRefusals(pb.ListRefusalsRequest(), _CALL)
    last = Timestamp(seconds=int(NOW) - 1, nanos=500_000_000)
    assert list(response.refusals) == [refusal(count=5, last_time=last)]
