"""One request, end to end: body, decode, RPC, encode. What differs between methods is in their bindings."""

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import grpc
from google.protobuf.message import Message

from gateway import body, encode, items, jsontext
from gateway.answer import Answer, answer_from_refusal
from gateway.batch_call import BatchCall
from gateway.bindings import Binding
from gateway.channel import Channel
from gateway.credentials import CONTRACT, Caller, Metadata
from gateway.decode import ObjectDecoder, scalar_from_text
from gateway.findings import MOST, NOT_UTF8, Finding, Findings, short_key
from gateway.gather import Limits
from gateway.group import GroupCall
from gateway.odd import NOT_JSON, find_odd_values
from gateway.request import Request
from gateway.status import Refusal, refusal, refusal_from_rpc
from gateway.structs import TOO_MANY_VALUES
from processes.turns import Turns

CLIENT_ADDRESS: Final = "x-userfold-client-address"
"""The metadata that holds the address of the HTTP client; empty where it is not known."""

_PARAMETERS: Final = 100
"""The most that a query may have."""

Done: TypeAlias = Callable[[Answer | Exception], object]
"""What is told the answer to a request, once; or a defect."""

_SAVED = Answer(201, {})
_GONE = Answer(499, {})  # Whoever asked: nobody reads it.


class Transcoder:
    """Answers the HTTP requests of one binding. Raises UnsupportedBinding for a message that it cannot read."""

    def __init__(self, binding: Binding, channel: Channel, rpc_seconds: float, turns: Turns) -> None:
        self._binding = binding
        self._turns = turns
        self._rpc_seconds = rpc_seconds
        self._decoder = ObjectDecoder(binding.body_message) if binding.body_message else None
        self._described = binding.body_message or binding.request_type
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._group = GroupCall(binding.group, channel, Limits(rpc_seconds)) if binding.group else None
        self._batch = (
            BatchCall(binding, channel, rpc_seconds, self._decoder, turns)
            if binding.is_batch and self._decoder
            else None
        )
        self._body_bytes = (
            body.ARRAY_BYTES if binding.is_batch else body.LIST_BYTES if binding.has_results else body.OBJECT_BYTES
        )
        # By their names in lower case: where a method cannot be undone, what looks like a parameter is not ignored.
        self._lower_case = {
            name.lower() for each in binding.query.values() for name in (each.name, each.json_name) if binding.is_write
        }
        self._call = channel.unary_unary(
            binding.rpc,
            request_serializer=binding.request.SerializeToString,
            response_deserializer=binding.response.FromString,
        )

    @property
    def body_bytes(self) -> int:
        """The most that a body may have, as it is sent and inflated."""
        return self._body_bytes

    def stop(self) -> None:
        """The gateway stops."""
        if self._batch:
            self._batch.stop()

    def answer(
        self, fields: Mapping[str, str], caller: Caller, request: Request, done: Done
    ) -> Callable[[], object] | None:
        """Answer one request with these path parameters. What is returned gives it up, where it can be."""
        try:
            arguments, warnings = self._scalars(fields, request.query)
            if self._group is not None and self._decoder is not None:
                text = self._text(request)
                decode = functools.partial(self._decoded, self._decoder, text, warnings)
                finish = functools.partial(self._finish, warnings, done)
                self._group.send(caller, len(text), decode, request.client, finish)
                return None
        except Refusal as refused:
            done(answer_from_refusal(refused, self._described))
            return None
        task = asyncio.get_running_loop().create_task(self._exchange(request, caller, arguments, warnings))
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, done))
        # What has arrived is written, whoever has gone: some clients send an update and do not wait for the answer.
        return None if self._binding.is_write else task.cancel

    def _finish(self, decoding: list[Finding], done: Done, told: dict[str, Any] | Exception) -> None:
        """Answer a request that went in a group."""
        if isinstance(told, Refusal):
            done(answer_from_refusal(told, self._described))
        elif isinstance(told, Exception):
            done(told)
        elif told or decoding:
            done(self._success(told, decoding))
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
        self, request: Request, caller: Caller, arguments: dict[str, Any], warnings: list[Finding]
    ) -> Answer:
        metadata = (*caller.metadata, (CLIENT_ADDRESS, request.client), CONTRACT, encode.METADATA_FORMAT)
        try:
            if self._batch is not None:
                return await self._batch.answer(caller.application, request, arguments, metadata)
            if self._decoder is not None:
                text = bytearray()
                for piece in self._slices(request):
                    if text:
                        await self._turns.turn(caller.application)
                    text += piece
                decoded = self._decoded(self._decoder, bytes(text), warnings)
                sent = decoded if self._binding.body == "*" else {self._binding.body: decoded}
                # What the path says wins over the body.
                arguments = sent | arguments
            return self._success(encode.plain(await self._rpc(arguments, metadata)), warnings)
        except body.BodyError as error:
            return answer_from_refusal(self._refusal_of_body(error))
        except Refusal as refused:
            return answer_from_refusal(refused, self._described)

    def _scalars(self, fields: Mapping[str, str], query: bytes) -> tuple[dict[str, Any], list[Finding]]:
        """What the path and the query say, and what to warn of."""
        if not (fields or query):
            return {}, []
        findings = Findings()
        known = self._binding.request_type.fields_by_name
        arguments = {name: scalar_from_text(known[name], text, findings) for name, text in fields.items()}
        if query.count(b"&") >= _PARAMETERS:
            raise refusal(
                "INVALID_REQUEST", violations=[Finding("query", "TOO_MANY", f"at most {_PARAMETERS} parameters")]
            )
        if self._binding.query:
            camel_case = {field.json_name: name for name, field in self._binding.query.items()}
            # Byte by byte: what is no UTF-8 must not become another text.
            for key, octets in parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1"):
                name = camel_case.get(key, key)
                if name not in self._binding.query and key.lower() in self._lower_case:
                    findings.refuse((short_key(key),), "WRONG_CASE", "is no parameter: its letters must be lower-case")
                    continue
                if name not in self._binding.query:
                    findings.warn((short_key(key),), "UNKNOWN_FIELD", "is ignored: there is no such field")
                    continue
                try:
                    text = octets.encode("latin-1").decode()
                except UnicodeDecodeError:
                    findings.refuse((name,), *NOT_UTF8)
                else:
                    field = known[name]
                    arguments[name] = text.split(",") if field.is_repeated else scalar_from_text(field, text, findings)
        if findings.violations:
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        return arguments, findings.warnings

    def _text(self, request: Request) -> bytes:
        if b"content-encoding" not in request.headers:
            return request.body
        try:
            return b"".join(self._slices(request))
        except body.BodyError as error:
            raise self._refusal_of_body(error) from None

    def _slices(self, request: Request) -> Iterator[bytes]:
        return body.slices(request.body, request.headers.get(b"content-encoding"), self._body_bytes)

    def _refusal_of_body(self, error: body.BodyError) -> Refusal:
        headers = {"accept-encoding": "gzip"} if isinstance(error, body.UnsupportedEncoding) else {}
        return refusal(error.reason, headers=headers, limit=self._body_bytes)

    def _decoded(self, decoder: ObjectDecoder, text: bytes, warnings: list[Finding]) -> dict[str, Any]:
        """The arguments of a message, from the text of an object. Adds what to warn of to `warnings`."""
        findings = Findings()
        if items.has_too_many_values(text):
            findings.refuse(("metadata",), *TOO_MANY_VALUES)
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        parsed = _parsed(text)
        if not isinstance(parsed, dict):
            raise refusal("BODY_NOT_AN_OBJECT")
        arguments = decoder.arguments(parsed, (), findings)
        if findings.violations:
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        warnings += findings.warnings
        return arguments

    async def _rpc(self, arguments: Mapping[str, Any], metadata: Metadata) -> Message:
        return await self._send(self._binding.request(**arguments), metadata)

    async def _send(self, request: Message, metadata: Metadata) -> Message:
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
    """The value of a JSON text. Raises Refusal, which names the fields that no value can be made of."""
    try:
        return jsontext.parse(text) if text else ""
    except jsontext.NotJson as error:
        findings = Findings()
        find_odd_values(text, (), findings)
        if findings.violations[0].reason == NOT_JSON[0]:
            raise refusal("BODY_NOT_JSON", byte=error.byte) from None
        raise refusal("INVALID_REQUEST", violations=findings.violations) from None
