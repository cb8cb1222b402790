"""One request, from its body to its answer. What differs between methods is in their bindings."""

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message

from gateway.calls.batch_call import BatchCall
from gateway.errors.answer import Abandon, Answer, Complete, Warned, answer_from_refusal, warned_from_warnings
from gateway.errors.rendering import Refusal, refusal, refusal_from_rpc
from gateway.errors.violations import FINDINGS_LIMIT, Finding, Findings, Path
from gateway.http import content_encoding
from gateway.http.handler import Body
from gateway.http.messages import Request
from gateway.routing.admission import Gate
from gateway.routing.descriptors import UnsupportedBinding
from gateway.routing.http_rules import Binding
from gateway.transcoding import json_array, json_encoder, json_parser
from gateway.transcoding.exact_integers import TOO_MANY_VALUES
from gateway.transcoding.invalid_json import NOT_JSON, find_invalid_values
from gateway.transcoding.json_decoder import ObjectDecoder
from gateway.transcoding.parameters import Parameters
from gateway.upstream.batch_client import BatchClient
from gateway.upstream.batcher import Limits
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import CONTRACT, Caller, Metadata
from gateway.upstream.refusal_reporter import REPORTS_REFUSALS
from runtime.turns import Turns

_Decoded = TypeVar("_Decoded")

CLIENT_ADDRESS: Final = "x-userfold-client-address"
"""The metadata with the address of the HTTP client; empty where it is unknown."""

_NO_BODY: Final = (b"", b"{}", b"[]", b"null")
"""What some clients send where a request has no body."""

_UNKNOWN_BODY: Final = "UNKNOWN_FIELD", "must be empty: this method takes no body"

_NO_STORE: Final = {"cache-control": "no-store"}
"""The headers of responses that may hold secrets or personal values: of all but the client libraries' routes."""

_SAVED: Final = Answer(201, {})
_GONE: Final = Answer(499, {})  # The client has gone: nobody reads it.


class Transcoder:
    """Answers the HTTP requests of one binding. Raises UnsupportedBinding for a message that it cannot read."""

    body: Final = Body.KEPT

    def __init__(self, binding: Binding, channel: Channel, rpc_seconds: float, turns: Turns, gate: Gate) -> None:
        self.method = binding.method
        self.route = binding.template
        self.gate = gate
        self.body_limit = (
            content_encoding.ARRAY_BYTES
            if binding.is_batch
            else content_encoding.LIST_BYTES
            if binding.has_results
            else content_encoding.OBJECT_BYTES
        )
        """The limit of a body in bytes, both as it is sent and inflated."""
        self._binding = binding
        self._turns = turns
        self._rpc_seconds = rpc_seconds
        self._decoder = (
            ObjectDecoder(binding.body_message, is_strict=not binding.is_lenient) if binding.body_message else None
        )
        self._parameters = Parameters(binding)
        # Members of the response that a body, which is one member, has beside its own where they are set.
        self._beside = [
            field.name
            for field in binding.response.DESCRIPTOR.fields
            if field.has_presence and field.name != binding.response_body
        ]
        self._described = binding.body_message or binding.request_type
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._batch_client: BatchClient | None = None
        self._batch: BatchCall | None = None
        if (method := binding.batch_method) and self._decoder:
            if binding.is_batch:
                self._batch = BatchCall(binding, method, channel, rpc_seconds, self._decoder, turns)
            else:
                self._batch_client = BatchClient(method, channel, Limits(rpc_seconds))
        elif binding.is_batch:
            raise UnsupportedBinding(f"{binding.rpc}: no batch method takes its items")
        self._call = channel.unary_unary(
            binding.rpc,
            request_serializer=binding.request.SerializeToString,
            response_deserializer=binding.response.FromString,
        )

    @property
    def queued(self) -> tuple[int, int]:
        """The updates that wait for their group, and the bytes of their bodies."""
        return self._batch_client.queued if self._batch_client else (0, 0)

    def stop(self) -> None:
        """Send no further parts of batches after a while: the gateway stops."""
        if self._batch:
            self._batch.stop()

    def answer(self, fields: Mapping[str, str], caller: Caller, request: Request, complete: Complete) -> Abandon:
        """Start to answer one request with these path fields. What is returned stops a read."""
        try:
            arguments = self._parameters.arguments(fields, request.query)
            if self._decoder is None and request.body.strip() not in _NO_BODY:
                # Ignoring a body can do harm: a DELETE with `validate_only` in its body would erase.
                raise refusal("INVALID_REQUEST", violations=[Finding("body", *_UNKNOWN_BODY)])
            warnings: list[Finding] = []
            if self._batch_client is not None and self._decoder is not None and self._is_default(arguments):
                body = self._inflated(request)
                decode = functools.partial(self._decoded, self._decoder.as_json, body, warnings)
                complete_batched = functools.partial(self._complete_batched, warnings, complete)
                self._batch_client.send(caller, len(body), decode, request, complete_batched)
                return None
        except Refusal as refused:
            complete(answer_from_refusal(refused, self._described))
            return None
        task = asyncio.get_running_loop().create_task(self._call_server(request, caller, arguments, warnings))
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._complete_task, complete))
        # A write goes on when its client has gone: some clients send an update and do not wait for the response.
        return None if self._binding.is_write else task.cancel

    def _complete_batched(
        self, warnings: list[Finding], complete: Complete, result: dict[str, Any] | Exception
    ) -> None:
        if isinstance(result, Refusal):
            complete(answer_from_refusal(result, self._described))
        elif isinstance(result, Exception):
            complete(result)
        elif result or warnings:
            complete(self._success(result, warnings))
        else:
            complete(_SAVED)

    def _complete_task(self, complete: Complete, task: asyncio.Task[Answer]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            complete(_GONE)
        else:
            error = task.exception()
            complete(error if isinstance(error, Exception) else task.result())

    async def _call_server(
        self, request: Request, caller: Caller, arguments: dict[str, Any], warnings: list[Finding]
    ) -> Answer:
        metadata = (
            *caller.metadata,
            (CLIENT_ADDRESS, request.client),
            CONTRACT,
            json_encoder.METADATA_FORMAT,
            REPORTS_REFUSALS,
            *request.origin.metadata(),
        )
        try:
            if self._batch is not None:
                return await self._batch.answer(caller.application, request, arguments, metadata)
            if self._decoder is not None:
                body = bytearray()
                for piece in self._slices(request):
                    if body:
                        await self._turns.turn(caller.application)
                    body += piece
                decoded = self._decoded(self._decoder.arguments, bytes(body), warnings)
                of_body = decoded if self._binding.body == "*" else {self._binding.body: decoded}
                arguments = _joined(arguments, of_body)
            response = await self._send(self._binding.request(**arguments), metadata)
            value = json_encoder.sparse(response) if self._binding.is_lenient else json_encoder.plain(response)
            return self._success(value, warnings)
        except content_encoding.BodyError as error:
            return answer_from_refusal(self._refusal_of_body(error))
        except Refusal as refused:
            return answer_from_refusal(refused, self._described)

    def _is_default(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a request with these arguments means the same as one without any."""
        return not arguments or not self._binding.request(**arguments).ByteSize()

    def _inflated(self, request: Request) -> bytes:
        if b"content-encoding" not in request.headers:
            return request.body
        try:
            return b"".join(self._slices(request))
        except content_encoding.BodyError as error:
            raise self._refusal_of_body(error) from None

    def _slices(self, request: Request) -> Iterator[bytes]:
        return content_encoding.slices(request.body, request.headers.get(b"content-encoding"), self.body_limit)

    def _refusal_of_body(self, error: content_encoding.BodyError) -> Refusal:
        headers = {"accept-encoding": "gzip"} if isinstance(error, content_encoding.UnsupportedEncoding) else {}
        return refusal(error.reason, headers=headers, limit=self.body_limit)

    def _decoded(
        self, decode: Callable[[dict[str, Any], Path, Findings], _Decoded], body: bytes, warnings: list[Finding]
    ) -> _Decoded:
        """What `decode` returns for a body with one object. Adds the warnings to `warnings`."""
        findings = Findings()
        if json_array.has_too_many_values(body):
            findings.refuse(("metadata",), *TOO_MANY_VALUES)
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        parsed = _parsed(body)
        if not isinstance(parsed, dict):
            raise refusal("BODY_NOT_AN_OBJECT")
        decoded = decode(parsed, (), findings)
        if findings.violations:
            raise refusal("INVALID_REQUEST", violations=findings.violations)
        warnings += findings.warnings
        return decoded

    async def _send(self, request: Message, metadata: Metadata) -> Message:
        try:
            response: Message = await self._call(request, timeout=self._rpc_seconds, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise refusal_from_rpc(error, is_write=self._binding.is_write) from None
        return response

    def _success(self, response: dict[str, Any], warnings: list[Finding]) -> Answer:
        """The answer with the members of the server's response, and the warnings of decoding before its own."""
        name = self._binding.response_body
        value: dict[str, Any] = response
        if name:
            value = response.get(name, {}) | {each: response[each] for each in self._beside if each in response}
        warned: Warned = {}
        if warnings or "warnings" in response:
            joined = [asdict(each) for each in warnings] + response.get("warnings", [])
            value = value | {"warnings": joined[:FINDINGS_LIMIT]}
            warned = warned_from_warnings(joined, self._described)
        http_status = 201 if self._binding.method == "POST" and not self._binding.has_verb else 200
        return Answer(http_status, value, {} if self._binding.is_lenient else _NO_STORE, warned=warned)


def _joined(of_path: Mapping[str, Any], of_body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of path and query, and of the body. Raises Refusal where they contradict each other."""
    findings = Findings()
    for name, value in of_path.items():
        if of_body.get(name, value) != value:
            findings.refuse((name,), "CONFLICT", "must be what the path says, or be left out")
    if findings.violations:
        raise refusal("INVALID_REQUEST", violations=findings.violations)
    return {**of_body, **of_path}


def _parsed(body: bytes) -> Any:
    """The value of a body. Raises Refusal, which names the fields whose values are invalid."""
    try:
        return json_parser.parse(body) if body else ""
    except json_parser.NotJson as error:
        findings = Findings()
        find_invalid_values(body, (), findings)
        if findings.violations[0].reason == NOT_JSON[0]:
            raise refusal("BODY_NOT_JSON", byte=error.byte) from None
        raise refusal("INVALID_REQUEST", violations=findings.violations) from None
