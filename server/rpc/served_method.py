"""A method as it is served: its rule, the servicer's function, and what all calls share."""

# Some of gRPC's types are generic in the stubs only.
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from runtime.metrics.requests import RequestMetrics
from runtime.refusal_counts import RefusalCounts
from runtime.reporting.origin import Origin, with_origins_of_items
from runtime.reporting.request_log import NO_REQUESTS, RequestLog
from runtime.turns import Turns
from server.accounts.credentials import Credential, unknown_credential
from server.accounts.scopes import require
from server.errors import CredentialUnknown, MalformedRequest
from server.model import Application
from server.rpc import parsing
from server.rpc.admission.admission import Admission
from server.rpc.admission.shared_capacity import SharedCapacity
from server.rpc.authentication import Authenticator
from server.rpc.call import Call, Metadata, RefusalSource, origin_of_call
from server.rpc.credential_cache import CachedCredential
from server.rpc.error_status import error_status
from server.rpc.methods import MethodRule
from server.rpc.observing.audit import AUDITED
from server.rpc.open_streams import Streams
from server.rpc.parsing import ParsedRequest

_ORIGINS: Final = "origins"
"""The field of a request whose items are requests of their own, with the origin of each."""


@dataclass(slots=True)
class Head:
    """The head of a call: what is there before its request is read, and what the cache holds of the credential."""

    metadata: Metadata
    credential: Credential
    cached: CachedCredential | None

    @property
    def application_id(self) -> str:
        """The application that the credential belonged to last; empty where that is not known."""
        return "" if self.cached is None else self.cached.application.application_id


@dataclass(frozen=True, slots=True)
class Shared:
    """What the calls of all methods share."""

    authenticator: Authenticator
    admission: Admission
    streams: Streams
    turns: Turns
    requests: RequestMetrics
    refusals: RefusalCounts
    request_log: RequestLog = NO_REQUESTS


class ServedMethod:
    """A method of a servicer.

    `name` is its name in metrics and logs; `serve` is the servicer's function. As long as a call lasts, it takes a
    place of `capacity`.
    """

    def __init__(self, descriptor: MethodDescriptor, rule: MethodRule, servicer: object, shared: Shared) -> None:
        self.name = descriptor.name
        self.full_name = descriptor.full_name
        self.audited = AUDITED.get(descriptor.full_name)
        self.rule = rule
        self.serve: Callable[..., Any] = getattr(servicer, rule.served_as or descriptor.name)
        self.request_class: type[Message] = GetMessageClass(descriptor.input_type)
        self.response_class: Callable[..., Message] = GetMessageClass(descriptor.output_type)
        self.authenticator = shared.authenticator
        self.admission = shared.admission
        self.streams = shared.streams
        self.turns = shared.turns
        self.request_log = shared.request_log
        self._has_origins = _ORIGINS in descriptor.input_type.fields_by_name
        self.capacity = _capacity(rule, shared)
        self.refusals = shared.refusals
        self._requests = shared.requests

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
            try:
                with self.admission.unverified():
                    return await self.authenticate(head.credential)
            except CredentialUnknown:
                raise unknown_credential(head.metadata) from None
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

    def refusals_of(self, head: Head) -> RefusalSource | None:
        """What counts the refusals of a caller. None where its application is not known."""
        known = self.authenticator.cache.known(head.credential)
        return RefusalSource(self.refusals, known.application.application_id, head.metadata) if known else None

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

    def origin_of(self, head: Head, peer: Callable[[], str], payload: bytes = b"") -> Origin:
        """The origin of a call that is refused. Where the items of its request are requests of their own, it is that of
        the first ones.
        """
        known = self.authenticator.cache.known(head.credential)
        application = known.application if known else None
        origin = origin_of_call(head.metadata, application, self.request_log.addresses, peer)
        request = self.small_request(payload)
        return origin if request is None else with_origins_of_items(origin, request.origins)

    def small_request(self, payload: bytes) -> Any:
        """The request in a small payload that many clients share, to find out whose it is; None for any other."""
        if self._has_origins and 0 < len(payload) <= parsing.SLICE_BYTES:
            with suppress(MalformedRequest):
                return parsing.parse(payload, self.request_class)
        return None

    def observe_success(self, call: Call, started: float) -> None:
        """Count a call that succeeded, or the clients' requests that it holds, and the duration since `started`."""
        seconds = time.perf_counter() - started
        if call.requests is None:
            self._requests.add((self.name, "OK"), call.application_id, seconds)
            return
        for code, count in call.requests.codes.items():
            self._requests.add_many((call.requests.method, code), call.application_id, seconds, count)

    def observe_error(self, error: Exception, application_id: str, started: float) -> None:
        """Count a call that ended with an error, and its duration. `application_id` may be empty: not known."""
        self.observe(error_status(error).code, application_id, started)

    def observe(self, code: grpc.StatusCode, application_id: str, started: float) -> None:
        """Count a call that ended with this code, and its duration."""
        self._requests.add((self.name, code.name), application_id, time.perf_counter() - started)


def _capacity(rule: MethodRule, shared: Shared) -> SharedCapacity:
    if not rule.is_stream:
        return shared.admission.calls
    return shared.streams.batches if rule.served_as else shared.streams.updates
