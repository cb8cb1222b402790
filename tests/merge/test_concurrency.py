"""Concurrent writers of one user, through two servers and two gateways: every update is stored without an error."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from server.local.mongod import EmbeddedMongod
from tests.support.stack import Api, Stack, running_stack

_WRITERS = 16
_ROUNDS = 8
_RIVALS = 8
_INCREMENTS = 4


@pytest.fixture(scope="module")
def second_stack(mongod: EmbeddedMongod, stack: Stack) -> Iterator[Stack]:
    """Another server and gateway on the same MongoDB."""
    with running_stack(mongod.uri) as stack:
        yield stack


@pytest.mark.parametrize("user_number", range(4))
def test_sixteen_writers_race_to_create_one_user_and_lose_nothing(
    stack: Stack, second_stack: Stack, api: Api, user_number: int
) -> None:
    user_id = f"raced-{user_number}"
    start = threading.Barrier(_WRITERS)

    def write(writer: int) -> list[tuple[int, str]]:
        answers = []
        own = Api((stack, second_stack)[writer % 2].http, api.application)
        with own.client:
            start.wait()
            for number in range(_ROUNDS):
                # `shared` is a scalar for some and an object for others, so that the exact form of a write races too.
                shared: Any = {f"w{writer}": {}} if writer % 4 == 0 else number
                update = {
                    "user_id": user_id,
                    "session_token": f"{writer}-{number}",
                    "metadata": {f"w{writer}": {f"k{number}": number, "last": number}, "shared": shared},
                }
                answer = own.update(update) if number % 2 else own.batch([update])
                answers.append((answer.status_code, answer.text))
        return answers

    with ThreadPoolExecutor(_WRITERS) as pool:
        answers = [answer for writer in pool.map(write, range(_WRITERS)) for answer in writer]
    assert [answer for answer in answers if answer[0] != 201] == []
    profile = api.get(user_id).json()
    assert profile["alias_count"] == _WRITERS * _ROUNDS
    metadata = profile["metadata"]
    del metadata["shared"]
    assert metadata == {
        f"w{writer}": {f"k{number}": number for number in range(_ROUNDS)} | {"last": _ROUNDS - 1}
        for writer in range(_WRITERS)
    }


def test_conditional_increments_lose_none_and_of_two_that_conflict_one_is_stored(
    stack: Stack, second_stack: Stack, api: Api
) -> None:
    api.stored({"metadata": {"n": 0}}, user_id="counted")
    start = threading.Barrier(_RIVALS)

    def increment(writer: int) -> tuple[int, int]:
        """How many increments were stored, and how many refused."""
        stored = refused = 0
        own = Api((stack, second_stack)[writer % 2].http, api.application)
        with own.client:
            start.wait()
            while stored < _INCREMENTS:
                read = own.get("counted").json()
                update = {"user_id": "counted", "etag": read["etag"], "metadata": {"n": read["metadata"]["n"] + 1}}
                answer = own.batch([update]) if writer % 4 == 3 else own.update(update)
                assert answer.status_code in (201, 400, 409), answer.text
                stored += answer.status_code == 201
                refused += answer.status_code != 201
        return stored, refused

    with ThreadPoolExecutor(_RIVALS) as pool:
        counts = list(pool.map(increment, range(_RIVALS)))
    assert api.get("counted").json()["metadata"] == {"n": _RIVALS * _INCREMENTS}
    assert sum(refused for _, refused in counts)
