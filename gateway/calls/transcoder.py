"""One request, end to end: body, decode, RPC, encode. What differs between methods is in their bindings."""

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import Message

from gateway.calls.batch_call import BatchCall
from gateway.errors.answer import Answer, answer_from_refusal
from gateway.errors.rendering import Refusal, refusal, refusal_from_rpc
from gateway.errors.violations import MOST, Finding, Findings
from gateway.http import content_encoding
from gateway.http.request import Request
from gateway.routing.http_rules import Binding
from gateway.transcoding import items, json_encoder, json_text
from gateway.transcoding.json_decoder import ObjectDecoder
from gateway.transcoding.odd_values import NOT_JSON, find_odd_values
from gateway.transcoding.parameters import Parameters
from gateway.transcoding.struct_values import TOO_MANY_VALUES
from gateway.upstream.batch_client import GroupCall
from gateway.upstream.batcher import Limits
from gateway.upstream.channel import Channel
from gateway.upstream.credentials import CONTRACT, Caller, Metadata
from runtime.turns import Turns

CLIENT_ADDRESS: Final = "x-userfold-client-address"
"""The metadata that holds the address of the HTTP client; empty where it is not known."""

Done: TypeAlias = Callable[[Answer | Exception], object]
"""What is told the answer to a request, once; or a defect."""

_NO_BODY: Final = (b"", b"{}", b"[]", b"null")
"""What some clients send where a request has no body."""

_UNKNOWN_BODY: Final = "UNKNOWN_FIELD", "must be empty: this method takes no body"

_SAVED = Answer(201, {})
_GONE = Answer(499, {})  # Whoever asked: nobody reads it.


class Transcoder:
    """Answers the HTTP requests of one binding. Raises UnsupportedBinding for a message that it cannot read."""

    def __init__(self, binding: Binding, channel: Channel, rpc_seconds: float, turns: Turns) -> None:
        self._binding = binding
        self._turns = turns
        self._rpc_seconds = rpc_seconds
        self._decoder = (
            ObjectDecoder(binding.body_message, is_strict=not binding.is_lenient) if binding.body_message else None
        )
        self._parameters = Parameters(binding)
        self._described = binding.body_message or binding.request_type
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._group = GroupCall(binding.group, channel, Limits(rpc_seconds)) if binding.group else None
        self._batch = (
            BatchCall(binding, channel, rpc_seconds, self._decoder, turns)
            if binding.is_batch and self._decoder
            else None
        )
        self._body_bytes = (
            content_encoding.ARRAY_BYTES
            if binding.is_batch
            else content_encoding.LIST_BYTES
            if binding.has_results
            else content_encoding.OBJECT_BYTES
        )
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
            arguments = self._parameters.arguments(fields, request.query)
            if self._decoder is None and request.body.strip() not in _NO_BODY:
                # A body that is ignored can do harm: a DELETE with `validate_only` in its body would erase.
                raise refusal("INVALID_REQUEST", violations=[Finding("body", *_UNKNOWN_BODY)])
            warnings: list[Finding] = []
            if self._group is not None and self._decoder is not None and self._is_default(arguments):
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
        metadata = (*caller.metadata, (CLIENT_ADDRESS, request.client), CONTRACT, json_encoder.METADATA_FORMAT)
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
                arguments = _joined(arguments, sent)
            response = await self._rpc(arguments, metadata)
            told = json_encoder.sparse(response) if self._binding.is_lenient else json_encoder.plain(response)
            return self._success(told, warnings)
        except content_encoding.BodyError as error:
            return answer_from_refusal(self._refusal_of_body(error))
        except Refusal as refused:
            return answer_from_refusal(refused, self._described)

    def _is_default(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a request with these arguments is the same as one without any."""
        return not arguments or not self._binding.request(**arguments).ByteSize()

    def _text(self, request: Request) -> bytes:
        if b"content-encoding" not in request.headers:
            return request.body
        try:
            return b"".join(self._slices(request))
        except content_encoding.BodyError as error:
            raise self._refusal_of_body(error) from None

    def _slices(self, request: Request) -> Iterator[bytes]:
        return content_encoding.slices(request.body, request.headers.get(b"content-encoding"), self._body_bytes)

    def _refusal_of_body(self, error: content_encoding.BodyError) -> Refusal:
        headers = {"accept-encoding": "gzip"} if isinstance(error, content_encoding.UnsupportedEncoding) else {}
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
        shown: dict[str, Any] = told.get(self._binding.response_body, {}) if self._binding.response_body else told
        if decoding or "warnings" in told:
            warnings = [asdict(each) for each in decoding] + told.get("warnings", [])
            shown = shown | {"warnings": warnings[:MOST]}
        http = 201 if self._binding.method == "POST" and not self._binding.has_verb else 200
        return Answer(http, shown)


def _joined(of_path: Mapping[str, Any], of_body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the path or the query, and of the body. Raises Refusal where the body says otherwise."""
    findings = Findings()
    for name, value in of_path.items():
        if of_body.get(name, value) != value:
            findings.refuse((name,), "CONFLICT", "must be what the path says, or be left out")
    if findings.violations:
        raise refusal("INVALID_REQUEST", violations=findings.violations)
    return {**of_body, **of_path}


def _parsed(text: bytes) -> Any:
    """The value of a JSON text. Raises Refusal, which names the fields that no value can be made of."""
    try:
        return json_text.parse(text) if text else ""
    except json_text.NotJson as error:
        findings = Findings()
        find_odd_values(text, (), findings)
        if findings.violations[0].reason == NOT_JSON[0]:
            raise refusal("BODY_NOT_JSON", byte=error.byte) from None
        raise refusal("INVALID_REQUEST", violations=findings.violations) from None
