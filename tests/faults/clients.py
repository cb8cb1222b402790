"""Clients that send updates in order by every method. Each update is recorded in the history first."""

import asyncio
import itertools
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import grpc
import orjson
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.users.ids import alias_digest, profile_id
from tests.faults.history import History, Operation, Outcome
from tests.support.applications import Application
from tests.support.http1 import AsyncConnection, Response, request_bytes

_PATIENCE = 11.0  # More than the gateway's deadline, as in client libraries.
_IN_DOUBT = frozenset({"WRITE_OUTCOME_UNKNOWN", "INTERNAL", ""})
_PAUSE = 0.25  # After a round in which nothing was acknowledged.

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


@dataclass(slots=True)
class Traffic:
    """The state that all clients share. While `patience` is set, they cancel calls after a random time up to that."""

    history: History
    gateways: Sequence[str]
    servers: Sequence[str]
    patience: float | None = None
    is_over: bool = False


class Client:
    """Sends updates of its own users of one application. Every second client repeats updates of unknown outcome.

    A round is `size` operations, of `users` users in turn. After `per_user` operations of each, new users follow.
    """

    size: ClassVar = 1
    users: ClassVar = 1
    per_user: ClassVar = 200  # Far below the limit of 1,000 aliases of a profile.

    def __init__(self, number: int, application: Application, traffic: Traffic) -> None:
        self._name = f"{type(self).__name__}-{number}"
        self._number = number
        self._application = application
        self._traffic = traffic
        self._sends_again = (
            number + number // 2
        ) % 2 == 0  # Half of the clients of each server and of each application.
        self._random = random.Random(self._name)  # noqa: S311 - The same in every run.
        self._counters = itertools.count()

    async def run(self) -> None:
        history = self._traffic.history
        while not self._traffic.is_over:
            operations: Sequence[Operation] = [self._begin(history) for _ in range(self.size)]
            is_first = True
            while operations:
                outcomes = await self._attempt(operations)
                for operation, outcome in zip(operations, outcomes, strict=True):
                    history.settle(operation, outcome, is_first=is_first)
                if Outcome.ACKNOWLEDGED not in outcomes:
                    await asyncio.sleep(_PAUSE)
                again = self._sends_again and not self._traffic.is_over
                operations = _in_doubt(operations, outcomes) if again else []
                is_first = False

    async def close(self) -> None:
        """Close the connection, also with requests in flight."""

    async def _attempt(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        outcomes = [Outcome.UNKNOWN] * len(operations)
        patience = self._traffic.patience
        seconds = _PATIENCE if patience is None else self._random.uniform(0, patience)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._send(operations, outcomes, seconds), seconds)
            return outcomes
        await self.close()
        return outcomes

    async def _send(self, operations: Sequence[Operation], outcomes: list[Outcome], seconds: float) -> None:
        """Send the operations and set their `outcomes`. May take longer than `seconds`."""
        raise NotImplementedError

    def _begin(self, history: History) -> Operation:
        number = next(self._counters)
        turn, user = divmod(number, self.users)
        generation, counter = divmod(turn, self.per_user)
        user_id = f"{self._name}/{user}/{generation}"
        token = f"{user_id}/{counter + 1}"
        application_id = self._application.application_id
        alias = alias_digest(application_id, token)
        return history.begin(profile_id(application_id, user_id), user_id, counter + 1, token, alias)


def _in_doubt(operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> Sequence[Operation]:
    """The operations to repeat: for each user all from the first of unknown outcome on, to keep their order."""
    profiles: set[str] = set()
    again = []
    for operation, outcome in zip(operations, outcomes, strict=True):
        if outcome is Outcome.UNKNOWN:
            profiles.add(operation.profile)
        if operation.profile in profiles:
            again.append(operation)
    return again


class HttpSingle(Client):
    """`POST /v1/users` on one connection, which moves to the other gateway if it is refused."""

    path: ClassVar = "/v1/users"

    def __init__(self, number: int, application: Application, traffic: Traffic) -> None:
        super().__init__(number, application, traffic)
        self._gateway = number
        self._connection: AsyncConnection | None = None

    async def close(self) -> None:
        if self._connection:
            self._connection.close()

    async def _send(self, operations: Sequence[Operation], outcomes: list[Outcome], seconds: float) -> None:
        try:
            response = await self._post(orjson.dumps(self._body(operations)))
        except ConnectionRefusedError:
            self._gateway += 1
            outcomes[:] = [Outcome.REFUSED] * len(outcomes)
        except (OSError, EOFError):
            await self.close()
        else:
            outcomes[:] = self._outcomes(response.status, response.json, len(outcomes))

    async def _post(self, body: bytes) -> Response:
        if self._connection is None or not self._connection.is_open:
            gateways = self._traffic.gateways
            self._connection = await AsyncConnection.open(gateways[self._gateway % len(gateways)])
        headers = {"x-moesif-application-id": self._application.collector_key, "content-length": len(body)}
        return await self._connection.exchange(request_bytes("POST", self.path, headers, body))

    def _body(self, operations: Sequence[Operation]) -> Any:
        return _user(operations[0])

    def _outcomes(self, status: int, body: Mapping[str, Any], count: int) -> list[Outcome]:
        return [Outcome.ACKNOWLEDGED if status == 201 else _from_json(body)] * count


class HttpBatch(HttpSingle):
    """`POST /v1/users/batch`, each user twice in it."""

    path = "/v1/users/batch"
    size = 20
    users = 10

    def _body(self, operations: Sequence[Operation]) -> Any:
        return [_user(operation) for operation in operations]

    def _outcomes(self, status: int, body: Mapping[str, Any], count: int) -> list[Outcome]:
        if "saved_count" not in body:
            return super()._outcomes(status, body, count)
        refused = {each["index"]: _from_json(each["status"]) for each in body.get("refused", ())}
        return [refused.get(index, Outcome.ACKNOWLEDGED) for index in range(count)]


class GrpcSingle(Client):
    """`UpdateUser`. Half of the clients set a gRPC deadline, the others cancel calls."""

    def __init__(self, number: int, application: Application, traffic: Traffic) -> None:
        super().__init__(number, application, traffic)
        first = number % len(traffic.servers)
        servers = [*traffic.servers[first:], *traffic.servers[:first]]
        self._channel = grpc.aio.insecure_channel(f"ipv4:{','.join(servers)}", options=_OPTIONS)
        self._stub: Any = UserServiceStub(self._channel)
        self._metadata = (("x-moesif-application-id", application.collector_key),)

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self._channel.close(None)

    async def _send(self, operations: Sequence[Operation], outcomes: list[Outcome], seconds: float) -> None:
        with_deadline = {"timeout": seconds} if self._number % 4 < 2 else {}
        try:
            await self._call(operations, outcomes, metadata=self._metadata, **with_deadline)
        except asyncio.InvalidStateError:
            return  # The server ended the stream while it was written to.
        except grpc.aio.AioRpcError as error:
            outcome = outcome_of_error(error)
            outcomes[:] = [outcome if each is Outcome.UNKNOWN else each for each in outcomes]

    async def _call(self, operations: Sequence[Operation], outcomes: list[Outcome], **options: Any) -> None:
        await self._stub.UpdateUser(pb.UpdateUserRequest(user=message_of(operations[0])), **options)
        outcomes[0] = Outcome.ACKNOWLEDGED


class GrpcBatch(GrpcSingle):
    """`BatchUpdateUsers`, each user twice in it."""

    size = 20
    users = 10

    async def _call(self, operations: Sequence[Operation], outcomes: list[Outcome], **options: Any) -> None:
        request = pb.BatchUpdateUsersRequest(users=map(message_of, operations))
        response = await self._stub.BatchUpdateUsers(request, **options)
        outcomes[:] = [_from_result(result) for result in response.results]


class GrpcStream(GrpcSingle):
    """`StreamUpdateUsers`: all messages of a round before the first acknowledgement, each user in four of them."""

    size = 60
    users = 15
    of_message = 10

    async def _call(self, operations: Sequence[Operation], outcomes: list[Outcome], **options: Any) -> None:
        call = self._stub.StreamUpdateUsers(**options)
        for start in range(0, len(operations), self.of_message):
            users = map(message_of, operations[start : start + self.of_message])
            await call.write(pb.StreamUpdateUsersRequest(users=users))
        await call.done_writing()
        async for response in call:
            for each in response.acknowledgements:
                outcomes[each.sequence_number] = _from_result(each)


class TwoServers(GrpcSingle):
    """`UpdateUser`, through two servers at once."""

    size = 2

    def __init__(self, number: int, application: Application, traffic: Traffic) -> None:
        super().__init__(number, application, traffic)
        server = traffic.servers[(number + 1) % len(traffic.servers)]
        self._other_channel = grpc.aio.insecure_channel(f"ipv4:{server}", options=_OPTIONS)
        self._other: Any = UserServiceStub(self._other_channel)
        self._manager = (("authorization", f"Bearer {application.management_token}"),)

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self._other_channel.close(None)

    async def _update(
        self, server: Any, user: UserUpdate, outcomes: list[Outcome], index: int, options: Mapping[str, Any]
    ) -> None:
        """Send an update through one of them, and set its outcome."""
        try:
            await server.UpdateUser(pb.UpdateUserRequest(user=user), **options)
        except grpc.aio.AioRpcError as error:
            outcomes[index] = outcome_of_error(error)
        else:
            outcomes[index] = Outcome.ACKNOWLEDGED


def _user(operation: Operation) -> dict[str, Any]:
    return {
        "user_id": operation.user_id,
        "session_token": operation.token,
        "metadata": {"counter": operation.counter},
    }


def message_of(operation: Operation) -> UserUpdate:
    metadata = f'{{"counter":{operation.counter}}}'.encode()
    return UserUpdate(user_id=operation.user_id, session_token=operation.token, metadata_json=metadata)


def _from_reason(reason: str) -> Outcome:
    return Outcome.UNKNOWN if reason in _IN_DOUBT else Outcome.REFUSED


def _from_json(status: Mapping[str, Any]) -> Outcome:
    return _from_reason(next((each["reason"] for each in status["details"] if "reason" in each), ""))


def _from_result(result: Any) -> Outcome:
    if result.HasField("response"):
        return Outcome.ACKNOWLEDGED
    return _from_status(result.error) if result.HasField("error") else Outcome.UNKNOWN


def _from_status(status: Status) -> Outcome:
    info = ErrorInfo()
    return _from_reason(info.reason if status.details and status.details[0].Unpack(info) else "")


def outcome_of_error(error: grpc.aio.AioRpcError) -> Outcome:
    """The outcome of what a call with this error had to do."""
    status = _sent_status(error)
    return _from_status(status) if status else Outcome.UNKNOWN


def _sent_status(error: grpc.aio.AioRpcError) -> Status | None:
    trailers: Any = error.trailing_metadata()
    return next((Status.FromString(value) for name, value in trailers or () if name == "grpc-status-details-bin"), None)
