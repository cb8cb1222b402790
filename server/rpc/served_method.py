"""A method as it is served: its rule, the servicer's function, and what all calls share."""

# Some of gRPC's types are generic in the stubs only.
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from runtime.observations import Observations
from runtime.turns import Turns
from server import metrics
from server.accounts.credentials import Credential
from server.accounts.scopes import require
from server.model import Application
from server.rpc import parsing
from server.rpc.admission.admission import Admission
from server.rpc.admission.shared_capacity import SharedCapacity
from server.rpc.authentication import Authenticator
from server.rpc.call import Metadata
from server.rpc.credential_cache import CachedCredential
from server.rpc.error_status import error_status
from server.rpc.methods import MethodRule
from server.rpc.open_streams import Streams
from server.rpc.parsing import ParsedRequest


@dataclass(slots=True)
class Head:
    """The head of a call: what is there before its request is read, and what the cache holds of the credential."""

    metadata: Metadata
    credential: Credential
    cached: CachedCredential | None


@dataclass(frozen=True, slots=True)
class Shared:
    """What the calls of all methods share."""

    authenticator: Authenticator
    admission: Admission
    streams: Streams
    turns: Turns
    durations: Observations


class ServedMethod:
    """A method of a servicer.

    `name` is its name in metrics and logs; `serve` is the servicer's function. As long as a call lasts, it takes a
    place of `capacity`.
    """

    def __init__(self, descriptor: MethodDescriptor, rule: MethodRule, servicer: object, shared: Shared) -> None:
        self.name = descriptor.name
        self.rule = rule
        self.serve: Callable[..., Any] = getattr(servicer, rule.served_as or descriptor.name)
        self.request_class: type[Message] = GetMessageClass(descriptor.input_type)
        self.response_class: Callable[..., Message] = GetMessageClass(descriptor.output_type)
        self.authenticator = shared.authenticator
        self.admission = shared.admission
        self.streams = shared.streams
        self.turns = shared.turns
        self.capacity = _capacity(rule, shared)
        self._durations = shared.durations
        self._successes = metrics.REQUESTS.labels(self.name, "OK")

    async def authenticate(self, credential: Credential) -> Application:
        """The application of a credential that may call the method.

        Raises ScopeMissing, CredentialUnknown, Overloaded or DatabaseUnavailable.
        """
        application = await self.authenticator.authenticate(credential)
        self.require_scope(application)
        return application

    async def authenticate_head(self, head: Head) -> Application:
        """The same for a call whose request is yet to be read.

        While its credential is looked up, the call takes a place of the application that the credential belonged to
        last, or of the calls with unknown credentials.
        """
        if head.cached is None:
            with self.admission.unverified():
                return await self.authenticate(head.credential)
        calls, application_id = self.admission.calls, head.cached.application.application_id
        calls.take(application_id)
        try:
            return await self.authenticate(head.credential)
        finally:
            calls.give_back(application_id)

    def require_scope(self, application: Application) -> None:
        """Raise ScopeMissing where the credential of the application may not call the method."""
        if self.rule.need is not None:
            require(self.rule.need, application)

    def renewed(self, head: Head) -> Head:
        """The head for a later request of the same call, with what the cache holds now."""
        return Head(head.metadata, head.credential, self.authenticator.cache.known(head.credential))

    async def parse(self, payload: bytes, application_id: str) -> ParsedRequest:
        """The request in a payload of any size. Raises what `parse` and `parse_large` raise."""
        if len(payload) <= parsing.SLICE_BYTES:
            return ParsedRequest(parsing.parse(payload, self.request_class))
        return await self.parse_large(payload, application_id)

    async def parse_large(self, payload: bytes, application_id: str) -> ParsedRequest:
        """The request in a payload of more than SLICE_BYTES. Raises what `parsing.parse_large` raises."""
        return await parsing.parse_large(payload, self.request_class, self.rule.items, self.turns, application_id)

    def count_of(self, request: Message) -> int:
        """The number of items in a request."""
        return 1 if self.rule.items is None else len(getattr(request, self.rule.items))

    def observe_success(self, started: float) -> None:
        """Count a call that succeeded, and its duration since `started`."""
        self._durations.add(self._successes, time.perf_counter() - started)

    def observe_error(self, error: Exception, started: float) -> None:
        """Count a call that ended with an error, and its duration."""
        self.observe(error_status(error).code, started)

    def observe(self, code: grpc.StatusCode, started: float) -> None:
        """Count a call that ended with this code, and its duration."""
        self._durations.add(metrics.REQUESTS.labels(self.name, code.name), time.perf_counter() - started)


def _capacity(rule: MethodRule, shared: Shared) -> SharedCapacity:
    if not rule.is_stream:
        return shared.admission.calls
    return shared.streams.batches if rule.served_as else shared.streams.updates
