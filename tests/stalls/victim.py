"""The process of application B: `python -m tests.stalls.victim`, with `Who` as JSON on stdin.

After the line `go` it sends small updates over HTTP, gRPC and streams, and reads its own users, each connection at a
steady pace. After `stop` it finishes its calls, reads back every acknowledged update, and prints each wait.
After `flood N` it sends N updates of N users as fast as it gets responses, and prints the errors.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import grpc
import orjson
import uvloop
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from tests.stalls.calls import Who
from tests.support.http1 import AsyncConnection, Response, request_bytes

PACE: Final = 0.04
"""Seconds from one call of a connection to its next."""

_PATIENCE = 30.0
_CONNECTIONS = 4

Call = Callable[[int], Awaitable[str]]


class Connection:
    """A connection to the gateway, opened again after it has closed."""

    def __init__(self, who: Who, credential: Mapping[str, str]) -> None:
        self._url = who.http
        self._credential = credential
        self._connection: AsyncConnection | None = None

    async def exchange(self, method: str, target: str, body: bytes = b"") -> Response:
        """The response to a request."""
        if self._connection is None or not self._connection.is_open:
            self._connection = await AsyncConnection.open(self._url)
        headers = {**self._credential, **({"content-length": len(body)} if body else {})}
        return await self._connection.exchange(request_bytes(method, target, headers, body))


class Victim:
    """Application B."""

    def __init__(self, who: Who) -> None:
        self._who = who
        self._channel = grpc.aio.insecure_channel(
            who.grpc, options=(("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
        )
        self._stub: Any = UserServiceStub(self._channel)
        self._metadata = tuple(who.writer.items())
        self._reading = tuple(who.reader.items())
        self._writers = [Connection(who, who.writer) for _ in range(_CONNECTIONS)]
        self._reader = Connection(who, who.reader)
        self._lister = Connection(who, who.reader)
        self._counter = itertools.count(1)
        self._stored: dict[str, int] = {}
        self.waits: list[tuple[str, float, float]] = []
        self.wrong: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.lag = 0.0

    def start(self) -> None:
        self.waits, self.wrong, self._stopping, self.lag = [], Counter(), False, 0.0
        kinds: list[tuple[str, Call]] = [("http", self._http), ("grpc", self._unary)]
        paced = [(name, kind, number) for name, kind in kinds for number in range(_CONNECTIONS)]
        paced += [("stream", self._stream, 0), ("stream", self._stream, 1)]
        paced += [("read", self._get, 0), ("read", self._get_over_grpc, 1), ("list", self._list, 0)]
        loops = [self._paced(*each, index * PACE / len(paced)) for index, each in enumerate(paced)]
        self._tasks = [asyncio.create_task(each) for each in loops]

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        for user_id, counter in self._stored.items():
            profile = await self._stub.GetUser(
                pb.GetUserRequest(user_id=user_id), metadata=self._reading, timeout=_PATIENCE
            )
            if profile.user.metadata["n"] != counter:
                self.wrong["lost"] += 1

    async def flood(self, count: int) -> None:
        """Send `count` updates, each of a different user."""
        self.wrong = Counter()
        numbers = iter(range(count))

        async def over_http(number: int) -> None:
            connection = self._writers[number]
            for each in numbers:
                body = orjson.dumps({"user_id": f"flood-{each}", "metadata": {"n": each}})
                await self._checked(self._posted(connection, body), "flood")

        async def over_grpc() -> None:
            for each in numbers:
                await self._checked(self._updated(f"flood-{each}", each), "flood")

        await asyncio.gather(*(over_http(number) for number in range(_CONNECTIONS)), *(over_grpc() for _ in range(28)))

    async def _paced(self, name: str, kind: Call, number: int, offset: float) -> None:
        due = time.monotonic() + offset
        while not self._stopping:
            await asyncio.sleep(due - time.monotonic())
            self.lag = max(self.lag, time.monotonic() - due)
            started = time.monotonic()
            await self._checked(kind(number), name)
            ended = time.monotonic()
            self.waits.append((name, ended, ended - started))
            due = max(due + PACE, ended)

    async def _checked(self, answered: Awaitable[str], name: str) -> None:
        problem = "hang"
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                try:
                    problem = await answered
                except grpc.aio.AioRpcError as error:
                    problem = error.code().name
                except (OSError, EOFError, asyncio.LimitOverrunError) as error:
                    problem = type(error).__name__
        if problem:
            self.wrong[f"{name} {problem}"] += 1

    async def _http(self, number: int) -> str:
        user_id, counter = f"http-{number}", next(self._counter)
        wrong = await self._posted(
            self._writers[number], orjson.dumps({"user_id": user_id, "company_id": "b", "metadata": {"n": counter}})
        )
        if not wrong:
            self._stored[user_id] = counter
        return wrong

    async def _posted(self, connection: Connection, body: bytes) -> str:
        response = await connection.exchange("POST", "/v1/users", body)
        return "" if response.status == 201 else _described(response)

    async def _unary(self, number: int) -> str:
        user_id, counter = f"grpc-{number}", next(self._counter)
        await self._updated(user_id, counter)
        self._stored[user_id] = counter
        return ""

    async def _updated(self, user_id: str, counter: int) -> str:
        user = UserUpdate(user_id=user_id, metadata_json=b'{"n":%d}' % counter)
        await self._stub.UpdateUser(pb.UpdateUserRequest(user=user), metadata=self._metadata, timeout=_PATIENCE)
        return ""

    async def _stream(self, number: int) -> str:
        """Send one update on a new stream."""
        user_id, counter = f"stream-{number}", next(self._counter)
        user = UserUpdate(user_id=user_id, metadata_json=b'{"n":%d}' % counter)
        call = self._stub.StreamUpdateUsers(metadata=self._metadata, timeout=_PATIENCE)
        with suppress(asyncio.InvalidStateError):
            await call.write(pb.StreamUpdateUsersRequest(users=[user]))
            await call.done_writing()
        codes = [
            each.error.code if each.HasField("error") else 0
            async for response in call
            for each in response.acknowledgements
        ]
        if codes == [0]:
            self._stored[user_id] = counter
            return ""
        return f"acknowledged {codes}"

    async def _get(self, _: int) -> str:
        response = await self._reader.exchange("GET", "/v1/users/http-0")
        return "" if response.status == 200 else _described(response)

    async def _get_over_grpc(self, _: int) -> str:
        await self._stub.GetUser(pb.GetUserRequest(user_id="grpc-0"), metadata=self._reading, timeout=_PATIENCE)
        return ""

    async def _list(self, _: int) -> str:
        response = await self._lister.exchange("GET", "/v1/users?page_size=1")
        return "" if response.status == 200 else _described(response)


def _described(response: Response) -> str:
    return f"{response.status} {response.body[:300].decode()}"


async def _main() -> None:
    victim = Victim(Who(**json.loads(sys.stdin.readline())))
    for number in range(_CONNECTIONS):
        await victim._http(number)
        await victim._unary(number)
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, *rest = line.split()
        if word == "go":
            victim.start()
            continue
        if word == "flood":
            await victim.flood(int(rest[0]))
        else:
            await victim.stop()
        print(json.dumps({"waits": victim.waits, "wrong": victim.wrong, "lag": victim.lag}), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
