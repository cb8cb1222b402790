"""Dispatch: finds the method of a call, and decides from the head of the call whether its request is read."""

# Some of gRPC's types are generic in the stubs only.
from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from runtime.reporting.request_log import RequestLog
from server.accounts.credentials import credential_from_metadata
from server.errors import GatewayTooOld, Overloaded
from server.rpc.call import Metadata, is_from_gateway_0_1
from server.rpc.invocation import AcceptedCall, RefusedCall, UnaryCall, UnverifiedUnaryCall
from server.rpc.methods import METHODS, MOVED, MethodRule, require_rules
from server.rpc.served_method import Head, ServedMethod, Shared
from server.rpc.stream_invocation import StreamCall, StreamOfCalls


class Dispatcher(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # Generic in the stubs only.
    """The services of a gRPC server. Each call gets a handler of its own.

    A call is refused before its request is read where it has no credential, or where its application has too many calls
    in flight. No request is read before the credential is known.

    The handlers that protobuf generates are not used, because they send the text of any exception to the client. Raises
    ValueError unless `rules` has exactly the methods of the services.
    """

    def __init__(
        self,
        servicers: Mapping[ServiceDescriptor, object],
        shared: Shared,
        rules: Mapping[str, MethodRule] = METHODS,
    ) -> None:
        require_rules(servicers, rules)
        self._shared = shared
        self._methods = {
            f"/{service.full_name}/{method.name}": ServedMethod(method, rules[method.full_name], servicer, shared)
            for service, servicer in servicers.items()
            for method in service.methods
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        path, metadata = handler_call_details.method, handler_call_details.invocation_metadata or ()
        method = self._methods.get(path)
        if method is None:
            return _refuse_moved(path, metadata, self._shared.request_log)
        head = None
        try:
            credential = credential_from_metadata(metadata)
            head = Head(metadata, credential, self._shared.authenticator.cache.known(credential))
            self._require_room(method, head)
        except Exception as error:
            method.observe_error(error, head.application_id if head else "", time.perf_counter())
            refusals = method.refusals_of(head) if head else None
            return RefusedCall(method.name, error, metadata, self._shared.request_log, refusals)
        return _handler_class(method, head)(method, head)

    def _require_room(self, method: ServedMethod, head: Head) -> None:
        """Raise Overloaded where a call with this head would be refused, whatever its request is."""
        if head.cached is None:
            self._shared.admission.require_room_for_unverified()
        elif not method.capacity.has_room(head.application_id):
            raise Overloaded


def _handler_class(method: ServedMethod, head: Head) -> type[AcceptedCall]:
    if method.rule.is_stream:
        return StreamOfCalls if method.rule.served_as else StreamCall
    return UnverifiedUnaryCall if head.cached is None else UnaryCall


def _refuse_moved(path: str, metadata: Metadata, log: RequestLog) -> RefusedCall | None:
    """Refuses a method that has moved, with a reason, where a gateway of version 0.1 calls it."""
    if path in MOVED and is_from_gateway_0_1(metadata):
        return RefusedCall(path.rpartition("/")[2], GatewayTooOld(), metadata, log)
    return None
