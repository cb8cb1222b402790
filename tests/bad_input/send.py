"""Sends a row as bytes of HTTP/1.1, as a gRPC call, or as frames of HTTP/2 that no gRPC client would send."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from tests.bad_input.rows import Row, filled
from tests.support.http1 import Connection
from tests.support.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, Peer, call_fields, frame
from tests.support.transports import METHODS, path_of

_SECONDS = 60
_SILENCE_SECONDS = 0.3
_TRAILER = "grpc-status-details-bin"


@dataclass(frozen=True)
class Responses:
    """The HTTP statuses, the name of the gRPC code, and the value and headers of the last response."""

    http: list[int] = field(default_factory=list)
    grpc: str = ""
    value: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sender:
    """Sends rows to a gateway and a server, each at `HOST:PORT`. `names` has the values of `«NAME»` in a row."""

    gateway: str
    server: str
    channel: grpc.Channel
    names: Mapping[str, str]

    def send(self, row: Row) -> Responses:
        """Send the row and return the responses."""
        if row.frames is not None:
            return _send_frames(row, self.server, self.names)
        if row.rpc:
            return _call(row, self.channel, self.names)
        return _send_bytes(_http_request(row, self.names), self.gateway)


def _http_request(row: Row, names: Mapping[str, str]) -> bytes:
    if row.raw:
        return filled(row.raw, names).encode("latin-1")
    body = row.encoded_body(names)
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


def _send_bytes(request: bytes, address: str) -> Responses:
    with Connection(address, _SECONDS) as connection:
        connection.send(request)
        connection.finish_sending()
        responses = connection.responses(request.partition(b" ")[0].decode("latin-1"))
    last = responses[-1] if responses else None
    value = last.json if last and last.body else {}
    return Responses([each.status for each in responses], value=value, headers=last.headers if last else {})


def _call(row: Row, channel: grpc.Channel, names: Mapping[str, str]) -> Responses:
    method = _method(row.rpc)
    # A header whose name differs only by its case is sent as well.
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
    value: dict[str, Any] = {}
    for response in responses:
        for name, part in _as_json(GetMessageClass(method.output_type).FromString(response)).items():
            value[name] = [*value.get(name, []), *part] if isinstance(part, list) else part
    return Responses(grpc=code, value=value | error)


def _method(name: str) -> MethodDescriptor:
    service, _, name_in_service = name.rpartition("/")
    if service:
        found: MethodDescriptor = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name_in_service]
        return found
    return METHODS[name]


def _messages(row: Row, names: Mapping[str, str]) -> list[bytes]:
    payloads = [row.payload] if isinstance(row.payload, str) else row.payload
    texts = [row.message] if isinstance(row.message, str) else row.message
    messages = []
    for text in texts:
        message = GetMessageClass(_method(row.rpc).input_type)()
        messages.append(json_format.Parse(filled(text, names), message).SerializeToString())
    return [*messages, *map(bytes.fromhex, payloads)]


def _send_frames(row: Row, address: str, names: Mapping[str, str]) -> Responses:
    path = path_of(METHODS[row.rpc]) if row.rpc in METHODS else f"/userfold.v1.UserService/{row.rpc}"
    headers = {name.lower(): filled(text, names) for name, text in (_credential(row, names) | row.headers).items()}
    seconds = _SECONDS if row.statuses() or row.headers_returned else _SILENCE_SECONDS
    with Peer(address, seconds) as peer:
        # In one write: gRPC's answer to an invalid frame depends on whether the server is already waiting for it.
        call = frame(HEADERS, END_HEADERS, 1, call_fields(path, headers))
        peer.send(call + frame(DATA, END_STREAM, 1, bytes.fromhex(row.frames or "")))
        fields = peer.response()
    statuses = [int(fields[":status"])] if ":status" in fields else []
    if "grpc-status" not in fields:
        return Responses(http=statuses, headers=fields)
    code = int(fields["grpc-status"])
    detail = fields.get(_TRAILER, "")
    trailers = {_TRAILER: base64.b64decode(detail + "=" * (-len(detail) % 4))} if detail else {}
    value = _error(code, unquote(fields.get("grpc-message", "")), trailers) if code else {}
    return Responses(statuses, Code.Name(code), value, fields)  # type: ignore[arg-type]


def _error(code: int, text: str, trailers: Mapping[str, Any]) -> dict[str, Any]:
    """An error in the shape of all errors; only status and message for an error of gRPC itself."""
    name = Code.Name(code)  # type: ignore[arg-type]  # gRPC's codes are those of code.proto.
    if _TRAILER not in trailers:
        return {"status": name, "message": text}
    status = Status.FromString(trailers[_TRAILER])
    assert (status.code, status.message) == (code, text)
    return _shape(_as_json(status))


def _as_json(message: Any) -> dict[str, Any]:
    value = json_format.MessageToDict(message, preserving_proto_field_name=True)
    for result in (*value.get("results", []), *value.get("acknowledgements", [])):
        if "error" in result:
            result["error"] = _shape(result["error"])
    return value


def _shape(status: dict[str, Any]) -> dict[str, Any]:
    return {**status, "status": Code.Name(status["code"])}
