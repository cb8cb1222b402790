"""The updates of one application are stored, whatever another application sends that shares its groups.

`make stalls ONLY=poisoned` does the same with 10,000 updates.
"""

import asyncio
import gzip
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
import httpx2
import orjson
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.accounts.credentials import generate_collector_key
from tests.support.applications import Application, register
from tests.support.stack import Stack

_UPDATES: Final = 120


def _chains(count: int, levels: int, key: int) -> dict[str, Any]:
    """`count` chains of `levels` nested objects, below one key of `key` bytes.

    The empty object at the end of each needs the exact form of a write, in which every object repeats its path.
    """
    chain: dict[str, Any] = {}
    for _ in range(levels):
        chain = {"a": chain}
    return {"k" * key: {str(number): chain for number in range(count)}}


_POISONS: Final[Mapping[str, dict[str, Any]]] = {
    "1 MB as a pipeline": _chains(50, 10, 1000),
    "12 MB as a pipeline": _chains(200, 14, 2000),
    "21 MB as a pipeline": _chains(300, 17, 2000),
    "60 MB as a pipeline": _chains(900, 17, 2000),
    "a value in each chain": {"x": {}, "k" * 2000: {str(n): {"a": {"b": {"c": {"d": n}}}} for n in range(900)}},
    "many objects": {"a": {str(n): {str(m): {} for m in range(30)} for n in range(30)}},
    "an array of empty arrays": {"a": [[]] * 300_000},
    "a megabyte": {"a": "x" * 1_040_000},
    "keys that are escaped": {f"{'.' * 1000}{n}": n for n in range(900)},
}


@pytest.mark.parametrize("name", _POISONS)
async def test_every_update_of_the_other_application_is_stored(
    name: str, stack: Stack, application: Application, database: Database[dict[str, Any]]
) -> None:
    poisoner = register(database, generate_collector_key())
    text = orjson.dumps(_POISONS[name])
    async with (
        grpc.aio.insecure_channel(stack.grpc) as channel,
        httpx2.AsyncClient(base_url=stack.http, timeout=60) as client,
    ):
        stub: Any = UserServiceStub(channel)
        finished = asyncio.Event()
        poisoning = asyncio.create_task(_poison(stub, client, poisoner, text, finished))
        refused = await _send(stub, application)
        finished.set()
        answers = await poisoning
    assert not refused
    owned = {"application_id": application.application_id}
    assert database.profiles.count_documents(owned | {"metadata.n": {"$type": "number"}}) == _UPDATES
    assert answers, "no expensive update was sent"
    assert not {answer for answer in answers if answer.startswith(("INTERNAL", "500", "504"))}, answers


async def _send(stub: Any, application: Application) -> Counter[str]:
    """Send the updates, each of a different user, 20 concurrently. Returns the reasons of those that failed."""
    metadata = (("x-moesif-application-id", application.collector_key),)
    numbers = iter(range(_UPDATES))
    refused: Counter[str] = Counter()

    async def send_in_turn() -> None:
        for number in numbers:
            user = UserUpdate(user_id=f"u{number}", metadata_json=b'{"n":%d}' % number)
            try:
                await stub.UpdateUser(pb.UpdateUserRequest(user=user), metadata=metadata, timeout=60)
            except grpc.aio.AioRpcError as error:
                refused[_reason(error)] += 1

    await asyncio.gather(*(send_in_turn() for _ in range(20)))
    return refused


async def _poison(
    stub: Any, client: httpx2.AsyncClient, application: Application, text: bytes, finished: asyncio.Event
) -> Counter[str]:
    """Send the expensive update by every method until `finished` is set, at least once. Returns the codes."""
    metadata = (("x-moesif-application-id", application.collector_key),)
    body = gzip.compress(b'{"user_id":"h","metadata":%s}' % text, 1)
    packed = {"x-moesif-application-id": application.collector_key, "content-encoding": "gzip"}
    answers: Counter[str] = Counter()

    async def unary(number: int) -> Sequence[Status]:
        user = UserUpdate(user_id=f"u{number}", metadata_json=text)
        await stub.UpdateUser(pb.UpdateUserRequest(user=user), metadata=metadata, timeout=60)
        return [Status()]

    async def batch(number: int) -> Sequence[Status]:
        users = [UserUpdate(user_id=f"b{number}-{each}", metadata_json=text) for each in range(5)]
        response = await stub.BatchUpdateUsers(pb.BatchUpdateUsersRequest(users=users), metadata=metadata, timeout=60)
        return [result.error for result in response.results]

    async def stream(number: int) -> Sequence[Status]:
        users = [UserUpdate(user_id=f"s{number}", metadata_json=text) for _ in range(5)]
        # An iterator, as a write to a stream that the server has ended raises an error of the client's own.
        call = stub.StreamUpdateUsers(iter([pb.StreamUpdateUsersRequest(users=users)]), metadata=metadata, timeout=60)
        return [each.error async for response in call for each in response.acknowledgements]

    async def repeat(send: Any) -> None:
        for number in itertools.count():
            try:
                for status in await send(number):
                    answers[grpc_code(status)] += 1
            except grpc.aio.AioRpcError as error:
                answers[f"{error.code().name} {_reason(error)}"] += 1
            if finished.is_set():
                return

    async def over_http() -> None:
        while True:
            answer = await client.post("/v1/users", content=body, headers=packed)
            answers[str(answer.status_code)] += 1
            if finished.is_set():
                return

    await asyncio.gather(*(repeat(send) for send in (unary, unary, batch, stream)), over_http())
    return answers


def grpc_code(status: Status) -> str:
    """The name of a status code."""
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    return str(names[status.code])


def _reason(error: grpc.aio.AioRpcError) -> str:
    trailers: Any = error.trailing_metadata() or ()
    status = next((Status.FromString(value) for name, value in trailers if name == "grpc-status-details-bin"), Status())
    info = ErrorInfo()
    return info.reason if status.details and status.details[0].Unpack(info) else error.code().name
