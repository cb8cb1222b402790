"""One request, end to end: body, decode, RPC, encode. What differs between methods is in their bindings."""

import asyncio
import functools
import ipaddress
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import parse_qsl

import grpc
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from gateway import body, encode, jsontext
from gateway.answer import Answer, answer_from_refusal
from gateway.batch import ITEMS, Batch, answer_batch, decode_item
from gateway.bindings import Binding
from gateway.channel import Channel
from gateway.decode import ObjectDecoder, scalar_from_text
from gateway.findings import MOST, Finding, Findings
from gateway.gather import Limits
from gateway.group import Credentials, GroupCall
from gateway.status import Refusal, refusal, refusal_from_rpc

CREDENTIALS: Final = ("x-moesif-application-id", "authorization")
"""The headers that say who calls. They alone are passed on, as metadata of the same names."""

CLIENT_ADDRESS: Final = "x-userfold-client-address"
"""The metadata that holds the address of the HTTP client; empty where it is not known."""

_ITEMS_AT_ONCE = 20  # 12 MiB of digits take seconds to decode; other requests go in between.
_LONGEST_CREDENTIAL = 4096  # gRPC refuses a call with more than 8 KiB of metadata, in a way that tells nothing.


class Transcoder:
    """Answers the HTTP requests of one binding. Raises UnsupportedBinding for a message that it cannot read."""

    def __init__(self, binding: Binding, channel: Channel, rpc_seconds: float) -> None:
        self._binding = binding
        self._rpc_seconds = rpc_seconds
        self._decoder = ObjectDecoder(binding.body_message) if binding.body_message else None
        self._group = GroupCall(binding.group, channel, Limits(rpc_seconds)) if binding.group else None
        self._call = channel.unary_unary(
            binding.rpc,
            request_serializer=binding.request.SerializeToString,
            response_deserializer=binding.response.FromString,
        )

    async def answer(self, fields: Mapping[str, str], scope: Scope, receive: Receive) -> Answer:
        """The answer to one request with these path parameters. Errors are answers too; what is raised is a defect."""
        binding = self._binding
        described = binding.body_message or binding.request_type
        try:
            headers = Headers(scope=scope)
            credentials = _metadata(headers)
            client_address = _client_address(scope)
            metadata = (*credentials, (CLIENT_ADDRESS, client_address))
            arguments = self._scalars(fields, scope)
            if self._decoder is None:
                return self._success(encode.plain(await self._rpc(arguments, metadata)), [])
            parsed = await self._parsed_body(receive, headers)
            if not binding.is_batch:
                warnings = self._decode_object(self._decoder, parsed, arguments)
                if self._group is not None:
                    item = arguments[binding.body]
                    told = {"warnings": await self._group.warnings(credentials, item, client_address)}
                else:
                    told = encode.plain(await self._rpc(arguments, metadata))
                return self._success(told, warnings)
            batch = await self._decode_array(self._decoder, parsed)
            response: Any = await self._rpc({**arguments, binding.body: batch.messages}, metadata)
            return answer_batch(batch, response.results, self._decoder.descriptor)
        except Refusal as refused:
            return answer_from_refusal(refused, described)

    def _scalars(self, fields: Mapping[str, str], scope: Scope) -> dict[str, Any]:
        findings = Findings()
        known = self._binding.request_type.fields_by_name
        arguments = {name: scalar_from_text(known[name], text, findings) for name, text in fields.items()}
        if self._binding.query:
            camel_case = {field.json_name: name for name, field in self._binding.query.items()}
            for key, text in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
                name = camel_case.get(key, key)
                if name in self._binding.query:
                    arguments[name] = scalar_from_text(known[name], text, findings)
        if findings.violations:
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        return arguments

    async def _parsed_body(self, receive: Receive, headers: Headers) -> Any:
        limit = body.ARRAY_BYTES if self._binding.is_batch else body.OBJECT_BYTES
        try:
            text = await body.read_body(receive, headers, limit)
            return jsontext.parse(text) if text else ""
        except body.BodyTooLarge:
            # The rest of a body that is not read would be taken for the next request.
            raise refusal("BODY_TOO_LARGE", limit=limit, headers={"connection": "close"}) from None
        except body.UnsupportedEncoding:
            raise refusal("UNSUPPORTED_CONTENT_ENCODING") from None
        except body.CorruptBody:
            raise refusal("BODY_NOT_GZIP") from None
        except body.ClientGone:
            raise refusal("CLIENT_GONE") from None
        except jsontext.NotJson as error:
            raise refusal("BODY_NOT_JSON", byte=error.byte) from None

    def _decode_object(self, decoder: ObjectDecoder, parsed: Any, arguments: dict[str, Any]) -> list[Finding]:
        if not isinstance(parsed, dict):
            raise refusal("BODY_NOT_AN_OBJECT")
        findings = Findings()
        if self._binding.body == "*":
            # What the path says wins over the body.
            arguments.update({**decoder.arguments(parsed, (), findings), **arguments})
        else:
            arguments[self._binding.body] = decoder.arguments(parsed, (), findings)
        if findings.violations:
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        return findings.warnings

    async def _decode_array(self, decoder: ObjectDecoder, parsed: Any) -> Batch:
        items = [] if parsed is None else parsed
        if not isinstance(items, list):
            raise refusal("BODY_NOT_AN_ARRAY")
        if len(items) > ITEMS:
            raise refusal("BATCH_TOO_LARGE", limit=ITEMS, items=self._binding.body)
        batch = Batch(self._binding.body, len(items))
        for index, item in enumerate(items):
            if index % _ITEMS_AT_ONCE == 0:
                await asyncio.sleep(0)
            decode_item(batch, decoder, index, item)
        return batch

    async def _rpc(self, arguments: Mapping[str, Any], metadata: tuple[tuple[str, str], ...]) -> Message:
        request = self._binding.request(**arguments)
        try:
            response: Message = await self._call(request, timeout=self._rpc_seconds, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise refusal_from_rpc(error, is_write=self._binding.is_write) from None
        return response

    def _success(self, told: dict[str, Any], decoding: list[Finding]) -> Answer:
        warnings = [asdict(each) for each in decoding] + told.pop("warnings", [])
        shown: dict[str, Any] = told.get(self._binding.response_body, {}) if self._binding.response_body else told
        http = 201 if self._binding.method == "POST" and not self._binding.has_verb else 200
        return Answer(http, shown | ({"warnings": warnings[:MOST]} if warnings else {}))


def _metadata(headers: Headers) -> Credentials:
    given = [(name, value) for name in CREDENTIALS if (value := headers.get(name)) is not None]
    if any(len(value) > _LONGEST_CREDENTIAL or not (value.isascii() and value.isprintable()) for _, value in given):
        raise refusal("CREDENTIAL_UNKNOWN")
    return tuple(given)


def _client_address(scope: Scope) -> str:
    client = scope.get("client")
    return _canonical(client[0]) if client else ""


@functools.lru_cache(1024)
def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:  # A trusted proxy may write `unknown`, or a name.
        return ""
