"""How a row is sent: as bytes of HTTP/1.1, as a gRPC call, or as frames of HTTP/2 that no gRPC client would send."""

import base64
import contextlib
import http.client
import io
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import grpc
import h2.config
import h2.connection
import h2.events
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from tests.bad_input.rows import Row, filled
from tests.faces import METHODS, path_of

_SECONDS = 20
_SILENCE_SECONDS = 0.3
_TRAILER = "grpc-status-details-bin"


@dataclass(frozen=True)
class Answered:
    """What came back: the HTTP statuses, gRPC's code by its name, and of the last answer its value and headers."""

    http: list[int] = field(default_factory=list)
    grpc: str = ""
    value: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sender:
    """Sends rows to a gateway and a server, `HOST:PORT` both; `names` says what `«NAME»` in a row stands for."""

    gateway: str
    server: str
    channel: grpc.Channel
    names: Mapping[str, str]

    def send(self, row: Row) -> Answered:
        """Everything that comes back."""
        if row.frames is not None:
            return _send_frames(row, self.server, self.names)
        if row.rpc:
            return _call(row, self.channel, self.names)
        return _send_bytes(_http_request(row, self.names), self.gateway)


def _http_request(row: Row, names: Mapping[str, str]) -> bytes:
    if row.raw:
        return filled(row.raw, names).encode("latin-1")
    body = row.octets_of_body(names)
    headers = {"Host": "userfold", "Connection": "close"} | _credential(row, names) | row.headers
    if body is not None:
        headers = {"Content-Length": str(len(body))} | headers
    lines = [f"{row.request} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return filled("\r\n".join([*lines, "\r\n"]), names).encode("latin-1") + (body or b"")


def _credential(row: Row, names: Mapping[str, str]) -> dict[str, str]:
    if not row.credential:
        return {}
    secret = names[row.credential]
    if row.credential.endswith("key"):
        return {"X-Moesif-Application-Id": secret}
    return {"Authorization": f"Bearer {secret}"}


def _send_bytes(request: bytes, address: str) -> Answered:
    with socket.create_connection(_host_port(address), _SECONDS) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = _Received(b"".join(iter(lambda: connection.recv(65536), b"")))
    statuses: list[int] = []
    value: Any = {}
    headers: dict[str, str] = {}
    while received.tell() < len(received.getbuffer()):
        answer = http.client.HTTPResponse(received)  # type: ignore[arg-type]  # It uses nothing else of a socket.
        answer.begin()
        statuses.append(answer.status)
        headers = {name.lower(): text for name, text in answer.getheaders()}
        content = received.read(int(headers.get("content-length", "0")))
        assert not content or headers["content-type"] == "application/json"
        value = json.loads(content) if content else {}
    return Answered(http=statuses, value=value, headers=headers)


class _Received(io.BytesIO):
    """Answers, from which http.client reads one after the other, as if from a socket."""

    def makefile(self, _: str) -> "_Received":
        return self

    def close(self) -> None:
        """Stay open for the next."""


def _call(row: Row, channel: grpc.Channel, names: Mapping[str, str]) -> Answered:
    method = _method(row.rpc)
    # A header of the row whose name differs by its case alone is sent as well.
    sent = (_credential(row, names) | row.headers).items()
    metadata = tuple((name.lower(), filled(text, names)) for name, text in sent)
    options: Any = {"metadata": metadata, "timeout": _SECONDS}
    path = path_of(method)
    responses: list[bytes] = []
    code, error = "OK", {}
    try:
        if method.client_streaming:
            stream: Any = channel.stream_stream(path, bytes, bytes)
            for response in stream(iter(_messages(row, names)), **options):
                responses.append(response)
        else:
            unary: Any = channel.unary_unary(path, bytes, bytes)
            responses.append(unary(*_messages(row, names), **options))
    except grpc.RpcError as refusal:
        failed: Any = refusal
        code = failed.code().name
        error = _error(failed.code().value[0], failed.details(), dict(failed.trailing_metadata() or ()))
    told: dict[str, Any] = {}
    for response in responses:
        for name, value in _as_json(GetMessageClass(method.output_type).FromString(response)).items():
            told[name] = [*told.get(name, []), *value] if isinstance(value, list) else value
    return Answered(grpc=code, value=told | error)


def _method(name: str) -> MethodDescriptor:
    service, _, name_in_service = name.rpartition("/")
    if service:
        found: MethodDescriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name_in_service]
        return found
    return METHODS[name]


def _messages(row: Row, names: Mapping[str, str]) -> list[bytes]:
    octets = [row.octets] if isinstance(row.octets, str) else row.octets
    texts = [row.message] if isinstance(row.message, str) else row.message
    messages = []
    for text in texts:
        message = GetMessageClass(_method(row.rpc).input_type)()
        messages.append(json_format.Parse(filled(text, names), message).SerializeToString())
    return [*messages, *map(bytes.fromhex, octets)]


def _send_frames(row: Row, address: str, names: Mapping[str, str]) -> Answered:
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":authority": "userfold",
        ":path": path_of(METHODS[row.rpc]) if row.rpc in METHODS else f"/userfold.v1.UserService/{row.rpc}",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    headers |= {name.lower(): filled(text, names) for name, text in (_credential(row, names) | row.headers).items()}
    config = h2.config.H2Configuration(validate_outbound_headers=False, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    connection.send_headers(1, [(name, text) for name, text in headers.items() if text])
    connection.send_data(1, bytes.fromhex(row.frames or ""), end_stream=True)
    answered: dict[str, str] = {}
    seconds = _SECONDS if row.statuses() or row.told else _SILENCE_SECONDS
    with (
        socket.create_connection(_host_port(address), seconds) as peer,
        contextlib.suppress(TimeoutError),
    ):
        peer.sendall(connection.data_to_send())
        while received := peer.recv(65536):
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    answered |= {str(name): str(text) for name, text in event.headers or ()}
                elif isinstance(event, h2.events.StreamReset):
                    answered["reset"] = str(int(event.error_code))
                elif isinstance(event, h2.events.DataReceived):
                    answered["data"] = "yes"
            peer.sendall(connection.data_to_send())
            if {"grpc-status", "reset"} & answered.keys():
                break
    statuses = [int(answered[":status"])] if ":status" in answered else []
    if "grpc-status" not in answered:
        return Answered(http=statuses, headers=answered)
    code = int(answered["grpc-status"])
    detail = answered.get(_TRAILER, "")
    trailers = {_TRAILER: base64.b64decode(detail + "=" * (-len(detail) % 4))} if detail else {}
    value = _error(code, unquote(answered.get("grpc-message", "")), trailers) if code else {}
    return Answered(statuses, Code.Name(code), value, answered)  # type: ignore[arg-type]


def _error(code: int, text: str, trailers: Mapping[str, Any]) -> dict[str, Any]:
    """An error in the one shape; less where it is none of ours."""
    name = Code.Name(code)  # type: ignore[arg-type]  # gRPC's codes are those of code.proto.
    if _TRAILER not in trailers:
        return {"status": name, "message": text}
    told = Status.FromString(trailers[_TRAILER])
    assert (told.code, told.message) == (code, text)
    return _shape(_as_json(told))


def _as_json(message: Any) -> dict[str, Any]:
    value = json_format.MessageToDict(message, preserving_proto_field_name=True)
    for result in (*value.get("results", []), *value.get("acknowledgements", [])):
        if "error" in result:
            result["error"] = _shape(result["error"])
    return value


def _shape(status: dict[str, Any]) -> dict[str, Any]:
    return {**status, "status": Code.Name(status["code"])}


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
