"""The log of refusals: one event for each kind and second, whatever clients send."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from runtime.reporting.origin import Origin
from runtime.tally import KINDS
from server.errors import CredentialUnknown, InvalidRequest, Overloaded, Violation
from server.rpc.observing import refusal_log
from server.rpc.observing.refusal_log import status_of_refusal

ORIGIN = Origin("r-1")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def logged() -> AsyncIterator[list[Any]]:
    refusal_log.flush_reports()  # Events of other tests in this second.
    with structlog.testing.capture_logs() as lines:
        yield lines
        refusal_log.flush_reports()


async def test_a_batch_of_invalid_users_is_one_event(logged: list[Any]) -> None:
    for index in range(300):
        error = InvalidRequest([Violation("user_id", "REQUIRED", ""), Violation(f"metadata.k{index}", "X", "")])
        status_of_refusal("BatchUpdateUsers", error, ORIGIN, f"users[{index}].")
    (line,) = logged
    assert (line["event"], line["reason"], line["calls"]) == ("refused", "INVALID_REQUEST", 1)
    assert line["fields"] == ("metadata", "user_id")


async def test_refusals_that_are_still_counted_are_logged_when_the_program_ends(logged: list[Any]) -> None:
    for number in range(5):
        status_of_refusal("GetUser", CredentialUnknown(), Origin(f"r{number}"))
    refusal_log.flush_reports()
    assert [line["calls"] for line in logged] == [1, 4]


async def test_the_index_of_an_item_does_not_distinguish_kinds(logged: list[Any]) -> None:
    for index in range(300):
        error = InvalidRequest([Violation(f"user_ids[{index}]", "REQUIRED", "")])
        status_of_refusal("BatchDeleteUsers", error, ORIGIN)
    assert [line["fields"] for line in logged] == [("user_ids[]",)]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("metadata_operations", "metadata_operations"),
        ("metadata_operations[3]", "metadata_operations[]"),
        ("metadata_operations[3].path", "metadata_operations[].path"),
        ("metadata_operations[3].union[2].secret", "metadata_operations[].union"),
        ('metadata_operations[3].set_once["a.secret"]', "metadata_operations[].set_once"),
    ],
)
async def test_no_key_of_an_operation_is_logged(logged: list[Any], path: str, field: str) -> None:
    status_of_refusal("UpdateUser", InvalidRequest([Violation(path, "X", "")]), ORIGIN)
    assert [line["fields"] for line in logged] == [(field,)]


async def test_reasons_and_methods_are_logged_separately(logged: list[Any]) -> None:
    for _ in range(100):
        for method in ("GetUser", "UpdateUser"):
            for error in (CredentialUnknown(), Overloaded()):
                status_of_refusal(method, error, ORIGIN)
    assert len(logged) == 4


async def test_a_repeated_defect_has_one_id_and_one_event_per_second(logged: list[Any]) -> None:
    ids = set()
    for _ in range(300):
        try:
            raise RuntimeError("john@acmeinc.com")
        except RuntimeError as error:
            status = status_of_refusal("UpdateUser", error, ORIGIN)
        ids.add(status.SerializeToString())
    (line,) = logged
    assert len(ids) == 1
    assert line["error_id"].encode() in ids.pop()
    assert "acmeinc" not in str(line)


async def test_the_kinds_of_defects_are_bounded(logged: list[Any]) -> None:
    for number in range(KINDS + 100):
        status_of_refusal("UpdateUser", type(f"E{number}", (Exception,), {})(), ORIGIN)
    assert len(logged) == KINDS
    refusal_log.flush_reports()
    assert (logged[-1]["event"], logged[-1]["calls"]) == ("refusals of further kinds", 100)


async def test_the_line_of_one_request_has_its_origin_and_that_of_several_their_ids(logged: list[Any]) -> None:
    for number in range(30):
        origin = Origin(f"r{number}", TRACE, "lib/1", "app", "credential", "192.0.2.0/24")
        status_of_refusal("GetUser", CredentialUnknown(), origin)
    refusal_log.flush_reports()
    known = {"application": "app", "credential": "credential", "client_library": "lib/1", "request_id": "r0"}
    assert known | {"client_address": "192.0.2.0/24", "trace_id": TRACE[3:35]} == {
        name: logged[0][name] for name in (*known, "client_address", "trace_id")
    }
    assert logged[1]["request_ids"] == [f"r{number}" for number in range(1, 21)]
    assert (logged[1]["application"], logged[1]["calls"], "trace_id" in logged[1]) == ("app", 29, False)


async def test_the_refusals_of_different_applications_are_logged_separately(logged: list[Any]) -> None:
    for number in range(10):
        status_of_refusal("GetUser", CredentialUnknown(), Origin("r", application=f"app-{number % 2}"))
    assert [line["application"] for line in logged] == ["app-0", "app-1"]
