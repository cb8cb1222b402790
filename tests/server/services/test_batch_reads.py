"""The results of batches of reads, for users that were already read."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.message import Message
from userfold.v1 import user_service_pb2 as pb

from runtime.turns import Turns
from server import metrics
from server.errors import InvalidRequest, ResponseTooLarge, UserfoldError, UserNotFound, Violation
from server.model import Application, CredentialKind, Fetched, Profile
from server.rpc.call import Call
from server.rpc.error_status import status_from_error
from server.services.batch_reads import fill_read_results
from tests.server.fetched import FetchedProfile
from tests.server.served import unstored_counts

_TOO_LARGE = status_from_error(ResponseTooLarge())
_NOT_FOUND = status_from_error(UserNotFound())


_APPLICATION = Application("app", CredentialKind.MANAGEMENT, frozenset())
_CALL = Call(_APPLICATION, (), lambda: "unix:", unstored_counts())


def _user(user_id: str) -> Fetched:
    return FetchedProfile(Profile(user_id, None, None, None, None))


async def _results(users: Sequence[Fetched | UserfoldError], room: int) -> list[str | Message]:
    """The user or the error in each result, where so many users fit."""
    filled: list[str] = []

    async def fill(user: Fetched, message: Any) -> bool:
        filled.append(user.profile().user_id)
        message.user.user_id = filled[-1]
        return len(filled) <= room

    response = pb.BatchGetUsersResponse()
    await fill_read_results("BatchGetUsers", response.results, users, fill, _CALL, Turns())
    # Users after the first that does not fit are not translated.
    assert len(filled) <= room + 1
    assert all(result.WhichOneof("outcome") for result in response.results)
    return [result.response.user.user_id or result.error for result in response.results]


async def test_results_are_in_the_order_of_the_users() -> None:
    invalid = InvalidRequest([Violation("user_ids[2]", "REQUIRED", "must not be empty")])
    users: list[Fetched | UserfoldError] = [_user("b"), UserNotFound(), invalid, _user("a"), _user("b")]
    assert await _results(users, 3) == ["b", _NOT_FOUND, status_from_error(invalid), "a", "b"]


async def test_every_result_is_too_large_from_the_first_that_does_not_fit() -> None:
    users: list[Fetched | UserfoldError] = [UserNotFound(), _user("a"), _user("b"), UserNotFound(), _user("c")]
    refused = metrics.REFUSALS.labels("BatchGetUsers", "RESPONSE_TOO_LARGE")
    before = refused._value.get()
    assert await _results(users, 1) == [_NOT_FOUND, "a", _TOO_LARGE, _TOO_LARGE, _TOO_LARGE]
    assert refused._value.get() - before == 1


async def test_a_user_that_was_not_read_for_its_size_is_too_large() -> None:
    assert await _results([_user("a"), ResponseTooLarge(), _user("b")], 9) == ["a", _TOO_LARGE, _TOO_LARGE]


async def test_many_errors_are_built_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[object] = []

    async def turn(_: Turns, owner: object) -> None:
        owners.append(owner)

    monkeypatch.setattr(Turns, "turn", turn)
    assert await _results([UserNotFound()] * 200, 9) == [_NOT_FOUND] * 200
    assert owners == ["app"] * 3
