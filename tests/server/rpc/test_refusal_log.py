"""The log of refusals: one event for each kind and second, whatever clients send."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime.tally import KINDS
from server.errors import CredentialUnknown, InvalidRequest, Overloaded, Violation
from server.rpc import refusal_log
from server.rpc.refusal_log import status_of_refusal


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    refusal_log._REPORTS.clear()  # Events of other tests in this second.
    with structlog.testing.capture_logs() as lines:
        yield lines


async def test_a_batch_of_invalid_users_is_one_event(logged: list[Any]) -> None:
    for index in range(300):
        error = InvalidRequest([Violation("user_id", "REQUIRED", ""), Violation(f"metadata.k{index}", "X", "")])
        status_of_refusal("BatchUpdateUsers", error, f"users[{index}].")
    (line,) = logged
    assert (line["event"], line["reason"], line["calls"]) == ("refused", "INVALID_REQUEST", 1)
    assert line["fields"] == ("metadata", "user_id")


async def test_refusals_that_are_still_counted_are_logged_when_the_program_ends(logged: list[Any]) -> None:
    for _ in range(5):
        status_of_refusal("GetUser", CredentialUnknown())
    refusal_log.flush_reports()
    assert [line["calls"] for line in logged] == [1, 4]


async def test_the_index_of_an_item_does_not_distinguish_kinds(logged: list[Any]) -> None:
    for index in range(300):
        error = InvalidRequest([Violation(f"user_ids[{index}]", "REQUIRED", "")])
        status_of_refusal("BatchDeleteUsers", error)
    assert [line["fields"] for line in logged] == [("user_ids[]",)]


async def test_reasons_and_methods_are_logged_separately(logged: list[Any]) -> None:
    for _ in range(100):
        for method in ("GetUser", "UpdateUser"):
            for error in (CredentialUnknown(), Overloaded()):
                status_of_refusal(method, error)
    assert len(logged) == 4


async def test_a_repeated_defect_has_one_id_and_one_event_per_second(logged: list[Any]) -> None:
    ids = set()
    for _ in range(300):
        try:
            raise RuntimeError("john@acmeinc.com")
        except RuntimeError as error:
            status = status_of_refusal("UpdateUser", error)
        ids.add(status.SerializeToString())
    (line,) = logged
    assert len(ids) == 1
    assert line["error_id"].encode() in ids.pop()
    assert "acmeinc" not in str(line)


async def test_the_kinds_of_defects_are_bounded(logged: list[Any]) -> None:
    for number in range(KINDS + 100):
        status_of_refusal("UpdateUser", type(f"E{number}", (Exception,), {})())
    assert len(logged) == KINDS
