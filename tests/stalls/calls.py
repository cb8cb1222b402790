"""One call of the attacker, encoded before anything is timed, and how it is sent."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from userfold.v1 import user_service_pb2 as pb

from tests.support.http1 import AsyncConnection, request_bytes

PATIENCE: Final = 65.0
"""Seconds after which a call counts as hanging. More than any deadline of the programs."""

INTERNAL: Final = "userfold.internal.v1.UserUpdateService"
"""The service that gateways call."""
_REASON: Final = re.compile(rb'"reason": ?"([A-Z_]+)"')
_REFUSED_STREAM: Final = "error code 7"
"""HTTP/2's REFUSED_STREAM: the connection has its limit of calls, and the call was not looked at."""

_OWN: Final = {"Internal error from Core": "ended"}
"""The client library's own error where a call ends while it is still sending."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True, slots=True)
class Who:
    """The addresses of the programs, and the credentials of an application."""

    http: str
    grpc: str
    key: str
    token: str

    @property
    def writer(self) -> Mapping[str, str]:
        return {"x-moesif-application-id": self.key}

    @property
    def reader(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.token}"}


class Call(Protocol):
    """A call that can be sent."""

    async def send(self, channels: "Channels") -> str:
        """Send it. Returns the response as words: `201`, `400 BODY_TOO_LARGE`, `OK`, `UNAVAILABLE OVERLOADED`."""


class Channels:
    """The address of the gateway, and the one gRPC channel of the attacker."""

    def __init__(self, who: Who) -> None:
        self.gateway = who.http
        self.channel = grpc.aio.insecure_channel(who.grpc, options=_OPTIONS)

    async def close(self) -> None:
        await self.channel.close(None)


@dataclass(frozen=True, slots=True)
class Http:
    """A request on a new connection."""

    method: str
    target: str
    credential: Mapping[str, str]
    body: bytes = b""
    headers: Sequence[str] = ()

    async def send(self, channels: Channels) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exchange(channels)
        except TimeoutError:
            return "hang"
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            return f"closed {type(error).__name__}"

    async def _exchange(self, channels: Channels) -> str:
        named = [header.partition(": ") for header in self.headers]
        headers: dict[str, object] = {**{name: value for name, _, value in named}, **self.credential}
        if self.body or self.method == "POST":
            headers["content-length"] = len(self.body)
        connection = await AsyncConnection.open(channels.gateway)
        try:
            response = await connection.exchange(request_bytes(self.method, self.target, headers, self.body))
        finally:
            connection.close()
        reason = _REASON.search(response.body) if response.status not in (200, 201) else None
        words = [str(response.status), *([reason[1].decode()] if reason else [])]
        return " ".join([*words, *(["with INTERNAL"] if b'"INTERNAL"' in response.body else [])])


@dataclass(frozen=True, slots=True)
class Grpc:
    """A unary call or, with `is_stream`, a stream of messages."""

    method: str
    credential: Mapping[str, str]
    messages: Sequence[bytes]
    is_stream: bool = False
    idle: float = 0.0
    """Seconds for which a stream stays open after its last message."""
    service: str = "userfold.v1.UserService"

    async def send(self, channels: Channels) -> str:
        metadata = tuple(self.credential.items())
        open_call: Any = channels.channel.stream_stream if self.is_stream else channels.channel.unary_unary
        multicallable = open_call(f"/{self.service}/{self.method}")
        try:
            if not self.is_stream:
                return _outcome(
                    self.method, [await multicallable(self.messages[0], metadata=metadata, timeout=PATIENCE)]
                )
            call = multicallable(metadata=metadata, timeout=PATIENCE)
            responses = asyncio.create_task(_all(call))
            # The server may end a stream while it is written to. Its status has the reason.
            with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                for message in self.messages:
                    await call.write(message)
                if self.idle:
                    await asyncio.wait([responses], timeout=self.idle)
                await call.done_writing()
            return _outcome(self.method, await responses)
        except grpc.aio.AioRpcError as error:
            return _named(error)


async def _all(call: Any) -> list[bytes]:
    return [message async for message in call]


def _named(error: grpc.aio.AioRpcError) -> str:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and "userfold" not in str(error.details()).lower():
        return "hang"
    trailers: Any = error.trailing_metadata() or ()
    status = next((Status.FromString(value) for name, value in trailers if name == "grpc-status-details-bin"), None)
    info = ErrorInfo()
    if status and status.details and status.details[0].Unpack(info):
        return f"{error.code().name} {info.reason}"
    # An error without a reason does not come from the server.
    return "refused" if _REFUSED_STREAM in str(error.details()) else _OWN.get(str(error.details()), error.code().name)


_ITEMS: Final[Mapping[str, tuple[type[Any], str]]] = {
    "BatchUpdateUsers": (pb.BatchUpdateUsersResponse, "results"),
    "BatchExportUsers": (pb.BatchExportUsersResponse, "results"),
    "BatchDeleteUsers": (pb.BatchDeleteUsersResponse, "results"),
    "BatchRemoveAliases": (pb.BatchRemoveAliasesResponse, "results"),
    "StreamUpdateUsers": (pb.StreamUpdateUsersResponse, "acknowledgements"),
}
_INTERNAL: Final = 13


def _outcome(method: str, answers: Sequence[bytes]) -> str:
    if method in _ITEMS:
        kind, name = _ITEMS[method]
        if any(item.error.code == _INTERNAL for answer in answers for item in getattr(kind.FromString(answer), name)):
            return "OK with INTERNAL"
    return "OK"


@dataclass(frozen=True, slots=True)
class Attack:
    """Calls, of which `concurrency` are in flight at a time."""

    calls: Sequence[Call] = field(default=())
    concurrency: int = 1
