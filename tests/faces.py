"""The two faces of the running stack: any method of the contract, asked over gRPC or over HTTP."""

import json
import threading
from collections.abc import Mapping, Sequence
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
from tests.conftest import percent_encoded


def path_of(method: MethodDescriptor) -> str:
    """The path of a method, as gRPC has it."""
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

BINDINGS = {name: next((each for each in routes if each.method == "GET"), routes[0]) for name, routes in ROUTES.items()}
"""One route of each, a GET where there is one."""

Answer = tuple[object, ...]
"""Everything that a caller is told."""

Credential = Mapping[str, str]
"""The header, or the metadata, that a call is sent with."""


class Face(Protocol):
    """One of the two ways to call a method."""

    def ask(self, method: str, request: Message, credential: Credential) -> Answer:
        """Everything that the caller is told, byte by byte."""

    def reason(self, answer: Answer) -> tuple[str, str]:
        """The reason of an error, and the scope that its metadata names; empty texts for none."""


class Grpc:
    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def ask(self, method: str, request: Message, credential: Credential) -> Answer:
        return self.send(method, request.SerializeToString(), credential)

    def send(
        self, method: str, sent: Any, credential: Credential, *, timeout: float = 30, cancel_after: float | None = None
    ) -> Answer:
        """Everything that is told to whoever sends these bytes to a method, which need not be there."""
        known = METHODS.get(method)
        path = path_of(known) if known else f"/{SERVICES[0].full_name}/{method}"
        metadata = tuple((name.lower(), value) for name, value in credential.items())
        try:
            if known and known.client_streaming:
                open_stream: Any = self._channel.stream_stream(path, bytes, bytes)
                call = open_stream(iter([sent]), metadata=metadata, timeout=timeout)
                if cancel_after is not None:
                    threading.Timer(cancel_after, call.cancel).start()
                return ("OK", *call)
            unary: Any = self._channel.unary_unary(path, bytes, bytes)
            if cancel_after is not None:
                call = unary.future(sent, metadata=metadata, timeout=timeout)
                threading.Timer(cancel_after, call.cancel).start()
                return ("OK", call.result())
            return ("OK", unary(sent, metadata=metadata, timeout=timeout))
        except grpc.FutureCancelledError:
            return ("CANCELLED",)
        except grpc.RpcError as refusal:
            error: Any = refusal
            return (error.code().name, error.details(), *sorted(error.trailing_metadata()))

    def reason(self, answer: Answer) -> tuple[str, str]:
        trailers: Any = answer[2:]
        info = ErrorInfo()
        if answer[0] != "OK":
            Status.FromString(dict(trailers)["grpc-status-details-bin"]).details[0].Unpack(info)
        return info.reason, info.metadata.get("scope", "")


class Http:
    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def ask(self, method: str, request: Message, credential: Credential) -> Answer:
        return self.send(credential, **route(BINDINGS[method], request))

    def send(self, credential: Credential, **request: Any) -> Answer:
        """Everything that is told to whoever sends this request."""
        answer = self._client.request(headers=dict(credential), **request)
        headers = sorted((name, value) for name, value in answer.headers.items() if name != "date")
        return (answer.status_code, answer.content, *headers)

    def reason(self, answer: Answer) -> tuple[str, str]:
        told: Any = json.loads(cast(bytes, answer[1]))
        info = told["details"][0] if answer[0] not in (200, 201) else {}
        return info.get("reason", ""), info.get("metadata", {}).get("scope", "")


def route(binding: Binding, request: Message) -> dict[str, Any]:
    """A request as it goes over HTTP: the method, the URL, and the body or the query."""
    fields = json_format.MessageToDict(request, preserving_proto_field_name=True)
    url = binding.template
    for name in binding.pattern.groupindex:
        url = url.replace(f"{{{name}}}", percent_encoded(fields.pop(name)))
    if not binding.body:
        params = {name: ",".join(value) if isinstance(value, list) else value for name, value in fields.items()}
        return {"method": binding.method, "url": url, "params": params}
    return {"method": binding.method, "url": url, "json": fields if binding.body == "*" else fields[binding.body]}
