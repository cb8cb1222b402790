"""Around every call of a method: whose it is, whether there is room for it, bytes to message, errors to Status."""

# Some of gRPC's types are generic in the stubs alone.
from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias

import grpc
from google.protobuf.message import Message

from runtime.observations import Observations
from runtime.turns import Turns
from server import metrics
from server.accounts.credentials import Credential
from server.accounts.scopes import Need, require
from server.errors import GatewayTooOld
from server.model import Application
from server.rpc.admission import Admission
from server.rpc.authentication import Authenticator, Known
from server.rpc.call import Call, Metadata, begin, is_of_older_gateway
from server.rpc.error_status import TRAILER, answer_to
from server.rpc.open_streams import Streams
from server.rpc.parsing import SLICE_BYTES, items_field, parse, parse_large
from server.rpc.refusals import status_of_refusal

Context = grpc.aio.ServicerContext[Any, Any]


Head: TypeAlias = tuple[Metadata, Credential, Known | None]
"""What a call shows before its messages are read, and what is known of its credential, or was."""

# gRPC looks for the handler of a call in the task, and with it in the context, in which it runs the handler.
HEAD: ContextVar[Head] = ContextVar("head")


MISREAD: Final = frozenset({"BatchDeleteUsers", "BatchExportUsers", "BatchRemoveAliases", "ExportUser"})
"""Methods whose responses a gateway of version 0.1 would misread."""

_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Method:
    """A method: what serves its messages, what it needs of a credential, and what it shares with others."""

    name: str
    serve: Any
    message: type[Message]
    need: Need | None
    authenticator: Authenticator
    admission: Admission
    streams: Streams
    turns: Turns
    seconds: Observations

    async def authorized(self, head: Head) -> Application:
        """The application of a call that begins, whose credential is what the method needs.

        Where it has to be looked up, the call takes a place meanwhile: of the application that it was last known of,
        or of those that are unknown. Raises ScopeMissing, CredentialUnknown, Overloaded or DatabaseUnavailable.
        """
        _, credential, known = head
        if known is None:
            with self.admission.unverified():
                return await self.authenticated(credential)
        calls, owner = self.admission.calls, known.application.application_id
        calls.take(owner)
        try:
            return await self.authenticated(credential)
        finally:
            calls.give_back(owner)

    async def authenticated(self, credential: Credential) -> Application:
        """The application of a credential that is what the method needs. Raises as `authorized` does."""
        application = await self.authenticator.authenticate(credential)
        if self.need is not None:
            require(self.need, application)
        return application

    def renewed(self, metadata: Metadata, credential: Credential) -> Head:
        """The head of a call, with what is known of its credential now, for those whom HEAD tells of it."""
        head = metadata, credential, self.authenticator.known(credential)
        HEAD.set(head)
        return head

    async def parsed(self, text: bytes, call: Call) -> Message:
        """The message that these bytes of a call are, large ones in slices. Sets what of it was too large."""
        if len(text) <= SLICE_BYTES:
            call.oversized = _NONE
            return parse(text, self.message)
        owner = call.application.application_id
        message, call.oversized = await parse_large(text, self.message, self.turns, owner)
        return message

    def observe(self, code: grpc.StatusCode, started: float) -> None:
        """Count a call that ended with this code, and its duration."""
        self.seconds.add(metrics.REQUESTS.labels(self.name, code.name), time.perf_counter() - started)


def answering(
    method: Method,
    answer: Callable[[Message], bytes],
    refuse: Callable[[str, Exception, Context], Awaitable[bytes]],
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """What is between the bytes of a request and those of its response. The call's head must be in HEAD."""
    name, serve, message, need, admission = method.name, method.serve, method.message, method.need, method.admission
    calls, clock, authenticate = admission.calls, method.authenticator.clock, method.authenticator.authenticate
    seconds = method.seconds
    answers = metrics.REQUESTS.labels(name, "OK")
    items = items_field(message)
    is_misread = name in MISREAD

    async def answered(text: bytes, context: Context) -> bytes:
        started = time.perf_counter()
        metadata, credential, known = HEAD.get()
        octets = len(text)
        owner = "" if known is None else known.application.application_id
        try:
            calls.take(owner, octets)
            try:
                is_fresh = known is not None and known.until > clock()
                application = known.application if known and is_fresh else await authenticate(credential)
                if need is not None:
                    require(need, application)
                if is_misread and is_of_older_gateway(metadata):
                    raise GatewayTooOld
                gate = admission.admit(name, application)
                if gate is not None:
                    await gate.__aenter__()
                try:
                    call = Call(application, metadata, octets)
                    begin(call)
                    request = parse(text, message) if octets <= SLICE_BYTES else await method.parsed(text, call)
                    admission.count(name, application, len(getattr(request, items)) if items else 1)
                    response: Message = await serve(request, context)
                finally:
                    if gate is not None:
                        await gate.__aexit__(None, None, None)
            finally:
                calls.give_back(owner, octets)
        except Exception as error:
            method.observe(answer_to(error).code, started)
            return await refuse(name, error, context)
        seconds.add(answers, time.perf_counter() - started)
        return answer(response)

    return answered


async def refuse(method: str, error: Exception, context: Context) -> NoReturn:
    """End a call with the Status of an error."""
    status = status_of_refusal(method, error)
    await context.abort(answer_to(error).code, status.message, ((TRAILER, status.SerializeToString()),))
