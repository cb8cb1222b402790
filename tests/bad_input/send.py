"""How a row is sent: as bytes of HTTP/1.1, as a gRPC call, or as frames of HTTP/2 that no gRPC client would send."""

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
    with Connection(address, _SECONDS) as connection:
        connection.send(request)
        connection.finish_sending()
        responses = connection.responses(request.partition(b" ")[0].decode("latin-1"))
    last = responses[-1] if responses else None
    value = last.json if last and last.body else {}
    return Answered([each.status for each in responses], value=value, headers=last.headers if last else {})


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
    path = path_of(METHODS[row.rpc]) if row.rpc in METHODS else f"/userfold.v1.UserService/{row.rpc}"
    headers = {name.lower(): filled(text, names) for name, text in (_credential(row, names) | row.headers).items()}
    seconds = _SECONDS if row.statuses() or row.told else _SILENCE_SECONDS
    with Peer(address, seconds) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, call_fields(path, headers)))
        peer.send(frame(DATA, END_STREAM, 1, bytes.fromhex(row.frames or "")))
        answered = peer.response()
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
