"""Remembers which credentials the server has verified, so that a request's head decides whether its body is read.

This only admits requests, by application. It grants no rights: the server checks the credential of every call.
"""

import asyncio
import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeAlias

import grpc
from userfold.internal.v1.credential_service_pb2 import CheckCredentialRequest, CheckCredentialResponse

from gateway.errors.rendering import Refusal, refusal, refusal_from_rpc
from gateway.upstream.channel import Channel
from runtime.reporting.origin import Origin

Metadata: TypeAlias = tuple[tuple[str, str], ...]
"""The credential headers of a request as the metadata of a call."""


class Account(NamedTuple):
    """The id of an application, and that of the credential that belongs to it."""

    application: str
    credential: str


Verified: TypeAlias = Callable[[Account | Exception], object]
"""Is called with the account of a credential, or with a Refusal or a defect."""

CONTRACT_VERSION: Final = 2
"""The version of the contract by which the gateway reads the server's responses."""

CONTRACT: Final = "x-userfold-contract", str(CONTRACT_VERSION)
"""The metadata that states it, in every call but those of batches, which no older server accepts."""

_CHECK: Final = "/userfold.internal.v1.CredentialService/CheckCredential"
_KEY: Final = b"x-moesif-application-id"
_AUTHORIZATION: Final = b"authorization"
"""The headers with credentials. They alone are passed on, as metadata of the same names."""

_KNOWN: Final = 10_000
"""The limit of verified credentials: those that were used last are remembered."""

_REFUSED: Final = 1_000
_REFUSED_SECONDS: Final = 3.0
"""Refused credentials that are remembered, and for how long."""

_WAITING: Final = 100
_CHECKS: Final = 32
"""The limits of requests that wait for checks, and of checks in flight."""

_CHECK_SECONDS: Final = 3.0
"""The deadline of a check. The deadline of the request's own call begins after it."""

_HEADER_CHARACTERS: Final = 4096
"""The limit of a credential header. gRPC refuses a call with more than 8 KiB of metadata, without details."""


# Not frozen: one is created for every request, and assigning the fields of a frozen dataclass is slower.
@dataclass(slots=True)
class Caller:
    """Who sent a request: the credential headers, their SHA-256 digest, and, once it is verified, the ids of the
    application and the credential."""

    digest: bytes
    metadata: Metadata
    application: str = ""
    credential: str = ""


def caller_of(headers: Mapping[bytes, bytes]) -> Caller | None:
    """The caller by the headers of a request; None where they have no credential."""
    key, authorization = headers.get(_KEY), headers.get(_AUTHORIZATION)
    if authorization is None:
        if not key:
            return None
        return Caller(sha256(key).digest(), (("x-moesif-application-id", key.decode("latin-1")),))
    headers_sent = ((_KEY, key), (_AUTHORIZATION, authorization))
    metadata = tuple((name.decode(), value.decode("latin-1")) for name, value in headers_sent if value)
    # No header value holds a line break, so no two credentials are joined to the same bytes.
    return Caller(sha256(b"%b\n%b" % (key or b"", authorization)).digest(), metadata) if metadata else None


class Verifier:
    """Remembers which credentials are verified, and asks the server about new ones. Belongs to the running event loop.

    A credential stays verified until `forget`, which must be called when the server answers that it does not know it.
    New credentials never evict a verified one before the server has verified them.
    """

    def __init__(self, channel: Channel) -> None:
        self._check = channel.unary_unary(
            _CHECK,
            request_serializer=CheckCredentialRequest.SerializeToString,
            response_deserializer=CheckCredentialResponse.FromString,
        )
        self._known: OrderedDict[bytes, Account] = OrderedDict()
        self._refused: dict[bytes, tuple[float, Refusal]] = {}
        self._checking: dict[bytes, list[Verified]] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()

    def recognize(self, caller: Caller) -> bool:
        """Set the application of a caller whose credential is verified. Returns whether it is."""
        account = self._known.get(caller.digest)
        if account is None:
            return False
        self._known.move_to_end(caller.digest)
        caller.application, caller.credential = account
        return True

    def recognized(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """The caller by the headers of a request, where the credential is verified."""
        caller = caller_of(headers)
        return caller if caller is not None and self.recognize(caller) else None

    def refusal(self, caller: Caller) -> Refusal | None:
        """Why a new credential is refused, where that is known without asking the server."""
        for _, value in caller.metadata:
            if len(value) > _HEADER_CHARACTERS or not (value.isascii() and value.isprintable()):
                return refusal("CREDENTIAL_UNKNOWN")
        at, refused = self._refused.get(caller.digest, (0.0, None))
        return refused if refused is not None and self._loop.time() < at + _REFUSED_SECONDS else None

    def has_room(self, caller: Caller) -> bool:
        """Whether one more request may wait for a check of its credential."""
        return self._waiting < _WAITING and (caller.digest in self._checking or len(self._checking) < _CHECKS)

    def verify(self, caller: Caller, origin: Origin, verified: Verified) -> None:
        """Check a new credential, for which there must be room. Requests with the same credential share one check, that
        of the first."""
        self._waiting += 1
        if caller.digest in self._checking:
            self._checking[caller.digest].append(verified)
            return
        self._checking[caller.digest] = [verified]
        task = self._loop.create_task(self._check_credential(caller, origin))
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._finish, caller.digest))

    def forget(self, caller: Caller) -> None:
        """Forget a credential that the server no longer knows."""
        self._known.pop(caller.digest, None)

    async def finished(self) -> None:
        """Wait until no check is in flight."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _check_credential(self, caller: Caller, origin: Origin) -> Account:
        """The account of a credential. Raises Refusal."""
        metadata = (*caller.metadata, *origin.metadata())
        try:
            response = await self._check(CheckCredentialRequest(), timeout=_CHECK_SECONDS, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            # The check is a read, whatever the request is.
            refused = refusal_from_rpc(error, is_write=False)
            if refused.http_status == 401:
                self._remember_refused(caller.digest, refused)
            raise refused from None
        if response.contract < CONTRACT_VERSION:
            raise refusal("SERVER_TOO_OLD")
        account = self._known[caller.digest] = Account(response.application_id, response.credential_id)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return account

    def _remember_refused(self, digest: bytes, refused: Refusal) -> None:
        self._refused.pop(digest, None)
        if len(self._refused) >= _REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[digest] = self._loop.time(), refused

    def _finish(self, digest: bytes, task: asyncio.Task[Account]) -> None:
        self._tasks.discard(task)
        error = task.exception()
        outcome = error if isinstance(error, Exception) else task.result()
        waiting = self._checking.pop(digest)
        self._waiting -= len(waiting)
        for verified in waiting:
            verified(outcome)
