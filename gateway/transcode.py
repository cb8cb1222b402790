"""One request, end to end: body, decode, RPC, encode. What differs between methods is in their bindings."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import grpc
from google.protobuf.message import Message

from gateway import body, encode, jsontext
from gateway.answer import Answer, answer_from_refusal
from gateway.batch import ITEMS, Batch, answer_batch, decode_item
from gateway.bindings import Binding
from gateway.channel import Channel
from gateway.decode import ObjectDecoder, scalar_from_text
from gateway.exchange import Credentials
from gateway.findings import MOST, NOT_UTF8, Finding, Findings, short_key
from gateway.gather import Limits
from gateway.group import GroupCall
from gateway.request import Request
from gateway.status import Refusal, refusal, refusal_from_rpc

_CREDENTIALS: Final = (b"x-moesif-application-id", b"authorization")
"""The headers that say who calls. They alone are passed on, as metadata of the same names."""

CLIENT_ADDRESS: Final = "x-userfold-client-address"
"""The metadata that holds the address of the HTTP client; empty where it is not known."""

_ITEMS_AT_ONCE = 20  # 12 MiB of digits take seconds to decode; other requests go in between.
Done: TypeAlias = Callable[[Answer | Exception], object]
"""What is told the answer to a request, once; or a defect."""

_SAVED = Answer(201, {})
_GONE = Answer(499, {})  # Whoever asked: nobody reads it.
_LONGEST_CREDENTIAL = 4096  # gRPC refuses a call with more than 8 KiB of metadata, in a way that tells nothing.


class Transcoder:
    """Answers the HTTP requests of one binding. Raises UnsupportedBinding for a message that it cannot read."""

    def __init__(self, binding: Binding, channel: Channel, rpc_seconds: float) -> None:
        self._binding = binding
        self._rpc_seconds = rpc_seconds
        self._decoder = ObjectDecoder(binding.body_message) if binding.body_message else None
        self._described = binding.body_message or binding.request_type
        self._decoding = asyncio.Lock()
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._group = GroupCall(binding.group, channel, Limits(rpc_seconds)) if binding.group else None
        self._call = channel.unary_unary(
            binding.rpc,
            request_serializer=binding.request.SerializeToString,
            response_deserializer=binding.response.FromString,
        )

    def answer(self, fields: Mapping[str, str], request: Request, done: Done) -> Callable[[], object] | None:
        """Answer one request with these path parameters. What is returned gives it up, where it can be."""
        try:
            credentials = _credentials(request.headers)
            arguments, warnings = self._scalars(fields, request.query)
            if self._group is not None and self._decoder is not None:
                text = self._text(request)
                decode = functools.partial(self._decoded, self._decoder, text, warnings)
                finish = functools.partial(self._finish, warnings, done)
                self._group.send(credentials, len(text), decode, request.client, finish)
                return None
        except Refusal as refused:
            done(answer_from_refusal(refused, self._described))
            return None
        task = asyncio.get_running_loop().create_task(self._exchange(request, credentials, arguments, warnings))
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, done))
        # What has arrived is written, whoever has gone: some clients send an update and do not wait for the answer.
        return None if self._binding.is_write else task.cancel

    def _finish(self, decoding: list[Finding], done: Done, told: list[dict[str, Any]] | Exception) -> None:
        """Answer a request that went in a group."""
        if isinstance(told, Refusal):
            done(answer_from_refusal(told, self._described))
        elif isinstance(told, Exception):
            done(told)
        elif told or decoding:
            done(self._success({"warnings": told}, decoding))
        else:
            done(_SAVED)

    def _ended(self, done: Done, task: asyncio.Task[Answer]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            done(_GONE)
        else:
            error = task.exception()
            done(error if isinstance(error, Exception) else task.result())

    async def _exchange(
        self, request: Request, credentials: Credentials, arguments: dict[str, Any], warnings: list[Finding]
    ) -> Answer:
        metadata = (*credentials, (CLIENT_ADDRESS, request.client), encode.METADATA_FORMAT)
        try:
            if self._decoder is None:
                return self._success(encode.plain(await self._rpc(arguments, metadata)), warnings)
            if not self._binding.is_batch:
                decoded = self._decoded(self._decoder, self._text(request), warnings)
                sent = decoded if self._binding.body == "*" else {self._binding.body: decoded}
                # What the path says wins over the body.
                return self._success(encode.plain(await self._rpc(sent | arguments, metadata)), warnings)
            # One after the other: of many at once, each turn of the loop would take a slice of all of them, and single
            # updates would wait for turn after turn.
            async with self._decoding:
                batch = await self._decode_array(self._decoder, _parsed(self._text(request)))
                message = self._binding.request(**{**arguments, self._binding.body: batch.messages})
            response: Any = await self._send(message, metadata)
            return answer_batch(batch, response.results, self._decoder.descriptor)
        except Refusal as refused:
            return answer_from_refusal(refused, self._described)

    def _scalars(self, fields: Mapping[str, str], query: bytes) -> tuple[dict[str, Any], list[Finding]]:
        """What the path and the query say, and what to warn of."""
        if not (fields or query):
            return {}, []
        findings = Findings()
        known = self._binding.request_type.fields_by_name
        arguments = {name: scalar_from_text(known[name], text, findings) for name, text in fields.items()}
        if self._binding.query:
            camel_case = {field.json_name: name for name, field in self._binding.query.items()}
            # Byte by byte: what is no UTF-8 must not become another text.
            for key, octets in parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1"):
                name = camel_case.get(key, key)
                if name not in self._binding.query:
                    findings.warn((short_key(key),), "UNKNOWN_FIELD", "is ignored: there is no such field")
                    continue
                try:
                    text = octets.encode("latin-1").decode()
                except UnicodeDecodeError:
                    findings.refuse((name,), *NOT_UTF8)
                else:
                    arguments[name] = scalar_from_text(known[name], text, findings)
        if findings.violations:
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        return arguments, findings.warnings

    def _text(self, request: Request) -> bytes:
        limit = body.ARRAY_BYTES if self._binding.has_results else body.OBJECT_BYTES
        try:
            return body.decoded_body(request.body, request.headers.get(b"content-encoding"), limit)
        except body.BodyTooLarge:
            raise refusal("BODY_TOO_LARGE", limit=limit) from None
        except body.UnsupportedEncoding:
            raise refusal("UNSUPPORTED_CONTENT_ENCODING") from None
        except body.CorruptBody:
            raise refusal("BODY_NOT_GZIP") from None

    def _decoded(self, decoder: ObjectDecoder, text: bytes, warnings: list[Finding]) -> dict[str, Any]:
        """The arguments of a message, from the text of an object. Adds what to warn of to `warnings`."""
        parsed = _parsed(text)
        if not isinstance(parsed, dict):
            raise refusal("BODY_NOT_AN_OBJECT")
        findings = Findings()
        arguments = decoder.arguments(parsed, (), findings)
        if findings.violations:
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        warnings += findings.warnings
        return arguments

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
        return await self._send(self._binding.request(**arguments), metadata)

    async def _send(self, request: Message, metadata: tuple[tuple[str, str], ...]) -> Message:
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


def _parsed(text: bytes) -> Any:
    try:
        return jsontext.parse(text) if text else ""
    except jsontext.NotJson as error:
        raise refusal("BODY_NOT_JSON", byte=error.byte) from None


def credential_of(headers: Mapping[bytes, bytes]) -> bytes:
    """What a request says of who sends it: who has the same is the same. Empty where it says nothing."""
    return headers.get(b"x-moesif-application-id") or headers.get(b"authorization", b"")


def _credentials(headers: Mapping[bytes, bytes]) -> Credentials:
    return _metadata(*[headers.get(name) for name in _CREDENTIALS])


@functools.lru_cache(1024)
def _metadata(*values: bytes | None) -> Credentials:
    """The values of `_CREDENTIALS` as metadata. Raises Refusal for what cannot be any."""
    texts = [
        (name.decode(), value.decode("latin-1"))
        for name, value in zip(_CREDENTIALS, values, strict=True)
        if value is not None
    ]
    if any(len(text) > _LONGEST_CREDENTIAL or not (text.isascii() and text.isprintable()) for _, text in texts):
        raise refusal("CREDENTIAL_UNKNOWN")
    return tuple(texts)
