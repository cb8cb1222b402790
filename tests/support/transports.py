"""The two transports of the API: any method of the contract, called over gRPC or over HTTP."""

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import grpc
import httpx2
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from gateway.app import INTERNAL, SERVICES
from gateway.routing.http_rules import Binding, bindings_of
from tests.support.stack import percent_encoded


def path_of(method: MethodDescriptor) -> str:
    """The path of a method in gRPC."""
    return f"/{method.containing_service.full_name}/{method.name}"


_PUBLIC = {method.name: method for service in SERVICES for method in service.methods}

METHODS: Mapping[str, MethodDescriptor] = {
    **{method.name: method for service in INTERNAL for method in service.methods},
    **_PUBLIC,
}
"""Every method of the contract by its name. The internal BatchUpdateUsers is served as the public one is."""

ROUTES: Mapping[str, Sequence[Binding]] = {
    name: [binding for binding in bindings_of(SERVICES, INTERNAL) if binding.rpc == path_of(method)]
    for name, method in _PUBLIC.items()
    if not method.client_streaming
}
"""The routes of each method that has one."""

BINDINGS = {
    name: next((route for route in routes if route.method == "GET"), routes[0]) for name, routes in ROUTES.items()
}
"""One route of each, a GET where there is one."""

RawResponse = tuple[object, ...]
"""Everything that a client receives: the status, then the details or the body, then the trailers or headers, but for
those that differ each time."""


def _same(headers: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return sorted((name, value) for name, value in headers if name not in ("date", "x-request-id"))


Credential = Mapping[str, str]
"""The header, or the metadata, that a call is sent with."""


class Transport(Protocol):
    """One of the two ways to call a method."""

    def call(self, method: str, request: Message, credential: Credential) -> RawResponse:
        """The complete response to a call."""

    def reason(self, response: RawResponse) -> tuple[str, str]:
        """The reason of an error, and the scope in its metadata. An empty string stands for none."""


class GrpcTransport:
    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def call(self, method: str, request: Message, credential: Credential) -> RawResponse:
        return self.send(method, request.SerializeToString(), credential)

    def send(
        self,
        method: str,
        payload: bytes,
        credential: Credential,
        *,
        timeout: float = 30,
        cancel_after: float | None = None,
    ) -> RawResponse:
        """The complete response to a call with this payload. The method need not exist."""
        known = METHODS.get(method)
        path = path_of(known) if known else f"/{SERVICES[0].full_name}/{method}"
        metadata = tuple((name.lower(), value) for name, value in credential.items())
        try:
            if known and known.client_streaming:
                open_stream: Any = self._channel.stream_stream(path, bytes, bytes)
                call = open_stream(iter([payload]), metadata=metadata, timeout=timeout)
                if cancel_after is not None:
                    threading.Timer(cancel_after, call.cancel).start()
                return ("OK", *call)
            unary: Any = self._channel.unary_unary(path, bytes, bytes)
            if cancel_after is not None:
                call = unary.future(payload, metadata=metadata, timeout=timeout)
                threading.Timer(cancel_after, call.cancel).start()
                return ("OK", call.result())
            return ("OK", unary(payload, metadata=metadata, timeout=timeout))
        except grpc.FutureCancelledError:
            return ("CANCELLED",)
        except grpc.RpcError as refusal:
            error: Any = refusal
            return (error.code().name, error.details(), *_same(error.trailing_metadata()))

    def reason(self, response: RawResponse) -> tuple[str, str]:
        trailers: Any = response[2:]
        info = ErrorInfo()
        if response[0] != "OK":
            Status.FromString(dict(trailers)["grpc-status-details-bin"]).details[0].Unpack(info)
        return info.reason, info.metadata.get("scope", "")


class HttpTransport:
    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def call(self, method: str, request: Message, credential: Credential) -> RawResponse:
        return self.send(credential, **http_request(BINDINGS[method], request))

    def send(self, credential: Credential, **request: Any) -> RawResponse:
        """The complete response to a request, given as the arguments of httpx."""
        response = self._client.request(headers=dict(credential), **request)
        return (response.status_code, response.content, *_same(response.headers.items()))

    def reason(self, response: RawResponse) -> tuple[str, str]:
        body: Any = json.loads(cast(bytes, response[1]))
        info = body["details"][0] if response[0] not in (200, 201) else {}
        return info.get("reason", ""), info.get("metadata", {}).get("scope", "")


def http_request(binding: Binding, request: Message) -> dict[str, Any]:
    """A request over HTTP: the method, the URL, and the body or the query, as the arguments of httpx."""
    fields = json_format.MessageToDict(request, preserving_proto_field_name=True)
    url = binding.template
    for name in binding.pattern.groupindex:
        url = url.replace(f"{{{name}}}", percent_encoded(fields.pop(name)))
    if not binding.body:
        params = {name: ",".join(value) if isinstance(value, list) else value for name, value in fields.items()}
        return {"method": binding.method, "url": url, "params": params}
    return {"method": binding.method, "url": url, "json": fields if binding.body == "*" else fields[binding.body]}
