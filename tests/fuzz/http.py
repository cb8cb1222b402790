"""The gateway, from the bytes of a connection to the bytes of its responses, with a server that stores nothing."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

import structlog.testing
from google.rpc import code_pb2
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.internal.v1.credential_service_pb2 import CheckCredentialResponse

from gateway.app import Application
from gateway.http.connection import HttpConnection
from gateway.http.connection_pool import Connections
from gateway.http.handler import Body, Exchange, Respond
from gateway.http.messages import Rejection, Request
from gateway.settings import Settings
from gateway.upstream.credential_cache import CONTRACT_VERSION
from runtime.turns import Turns
from server.errors import InvalidRequest
from server.rpc.error_status import status_from_error
from server.services.updates.batch_updates import plan_batch
from server.services.updates.update_messages import OF_USERS
from tests.fuzz.legal import APPLICATION, NOW

_PIECE: Final = 7
_MOST_TURNS: Final = 2000
_ANSWER = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [A-Za-z -]+\r\n((?:[a-z-]+: [^\r\n]*\r\n)*)\r\n", re.DOTALL)

_loop = asyncio.new_event_loop()


def http(data: bytes) -> None:
    """Send the bytes in one piece and in several: both give the same requests, each with a response other than 500."""
    with structlog.testing.capture_logs():
        whole = _loop.run_until_complete(_exchange(data, len(data) or 1))
        pieces = _loop.run_until_complete(_exchange(data, _PIECE))
    assert whole == pieces


async def _exchange(data: bytes, piece: int) -> tuple[list[Request], list[tuple[int, Any]]]:
    """The parsed requests, and the responses."""
    application = _Recorder(_application())
    transport = _Transport()
    connection = HttpConnection(application, Connections(1))
    connection.connection_made(transport)
    for start in range(0, len(data), piece):
        connection.data_received(data[start : start + piece])
        for _ in range(_MOST_TURNS):
            if not transport.is_paused or transport.closed:
                break
            await asyncio.sleep(0)
    if not transport.closed and not connection.eof_received():
        transport.close()
    for _ in range(_MOST_TURNS):
        if transport.closed:
            break
        await asyncio.sleep(0)
    assert transport.closed, "an answer that never came"
    assert not application.defects
    connection.connection_lost(None)
    return application.requests, _answers(bytes(transport.written), application.requests)


def _answers(written: bytes, requests: list[Request]) -> list[tuple[int, Any]]:
    """The status and the JSON value of each response."""
    answers: list[tuple[int, Any]] = []
    while written:
        found = _ANSWER.match(written)
        assert found, written[:200]
        status, written = int(found[1]), written[found.end() :]
        length = re.search(rb"content-length: ([0-9]+)", found[2])
        is_head = len(answers) < len(requests) and requests[len(answers)].method == "HEAD"
        size = 0 if length is None or is_head or status == 100 else int(length[1])
        content, written = written[:size], written[size:]
        if status == 100:
            continue
        assert status < 500 or status == 501, content
        assert len(content) <= 4096 or status < 400 or b"refused" in content
        answers.append((status, json.loads(content) if content else None))
    return answers


class _Recorder:
    """A handler that records requests and passes them to another handler."""

    def __init__(self, handler: Application) -> None:
        self._handler = handler
        self.turn_away = handler.turn_away
        self.stop = handler.stop
        self.finished = handler.finished
        self.requests: list[Request] = []
        self.defects: list[BaseException] = []

    def begin(self, method: str, path: bytes, headers: Mapping[bytes, bytes]) -> Exchange:
        exchange = self._handler.begin(method, path, headers)
        return exchange if exchange.body is Body.UNWANTED else _Recorded(exchange, self.requests)

    def reject(self, rejection: Rejection) -> Exchange:
        if rejection.cause is not None:
            self.defects.append(rejection.cause)
        return self._handler.reject(rejection)


class _Recorded:
    """An exchange that records its request."""

    def __init__(self, exchange: Exchange, requests: list[Request]) -> None:
        self.body = exchange.body
        self.body_limit = exchange.body_limit
        self.abandon = exchange.abandon
        self._exchange = exchange
        self._requests = requests

    def handle(self, request: Request, respond: Respond) -> None:
        self._requests.append(request)
        self._exchange.handle(request, respond)


class _Transport(asyncio.Transport):
    """A transport that keeps what a connection writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = self.is_paused = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def get_write_buffer_size(self) -> int:
        return 0


class _Planner:
    """A channel to a server that plans updates and has no users."""

    streams = 1

    def renewed(self) -> int:
        return 0

    def unary_unary(self, method: str, request_serializer: Any, response_deserializer: Any) -> Any:
        async def call(request: Any, **_: object) -> Any:
            text = request_serializer(request)
            if method.endswith("/CheckCredential"):
                return CheckCredentialResponse(application_id=APPLICATION, contract=CONTRACT_VERSION)
            return response_deserializer(await _planned(text) if method.endswith("/BatchUpdateUsers") else b"")

        return call

    def stream_stream(self, _: str, request_serializer: Any, response_deserializer: Any) -> Any:
        def call(**_: object) -> _Stream:
            return _Stream(request_serializer, response_deserializer)

        return call


class _Stream:
    """A stream to that server."""

    def __init__(self, request_serializer: Any, response_deserializer: Any) -> None:
        self._serialized = request_serializer
        self._deserialized = response_deserializer
        self._told = internal_pb.StreamBatchUpdateUsersResponse()

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        pass

    async def write(self, request: Any) -> None:
        self._told.response.ParseFromString(await _planned(self._serialized(request)))

    async def read(self) -> Any:
        return self._deserialized(self._told.SerializeToString())


async def _planned(text: bytes) -> bytes:
    request = internal_pb.BatchUpdateUsersRequest.FromString(text)
    addresses: list[str | None] = [*request.client_addresses] or [None] * len(request.users_json)
    response = internal_pb.BatchUpdateUsersResponse()
    for index, planned in enumerate(
        await plan_batch(APPLICATION, OF_USERS.json_objects(request.users_json), addresses, NOW, Turns())
    ):
        result = response.results.add()
        if isinstance(planned, InvalidRequest):
            result.error.CopyFrom(status_from_error(planned, f"users[{index}]."))
            assert result.error.code == code_pb2.INVALID_ARGUMENT
        else:
            result.response.SetInParent()
    return response.SerializeToString()


_made: dict[str, Application] = {}


def _application() -> Application:
    # Belongs to the event loop, which is running now.
    if not _made:
        _made["one"] = Application(Settings(), cast(Any, _Planner()))
    return _made["one"]
