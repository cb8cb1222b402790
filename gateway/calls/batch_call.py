"""A batch of any length: decoded in slices, and sent in one RPC after another.

One user's updates keep their order. Items are numbered over the whole batch, whichever RPC they are sent in.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc

from gateway.calls.batch_response import Outcome
from gateway.errors.answer import Answer
from gateway.errors.rendering import Refusal, refusal, refusal_from_rpc
from gateway.errors.violations import Findings
from gateway.http import content_encoding
from gateway.http.messages import Request
from gateway.routing.batch_methods import BatchMethod
from gateway.routing.http_rules import Binding
from gateway.transcoding import json_array, json_parser
from gateway.transcoding.exact_integers import TOO_MANY_VALUES
from gateway.transcoding.invalid_json import find_invalid_values
from gateway.transcoding.json_array import JsonArray
from gateway.transcoding.json_decoder import ObjectDecoder
from gateway.transcoding.json_values import WRONG_TYPE
from gateway.upstream.channel import Channel
from gateway.upstream.credential_cache import Metadata
from gateway.upstream.result import is_plain
from runtime.slots import Slots
from runtime.turns import Turns

SECONDS: Final = 55.0
"""How long a whole batch may take, waiting included. Items that are not sent by then are refused one by one."""

STOPPING_SECONDS: Final = 15.0
"""How long a stopping gateway still begins RPCs: the last one must end before the gateway does."""

RPC_ITEMS: Final = 1000
RPC_BYTES: Final = 4 * 1024 * 1024
"""The limits of one RPC: items, which is the server's own limit, and their bytes. A single item may be larger."""

SMALL_BYTES: Final = content_encoding.SLICE
"""A body with at most so many bytes, inflated, is parsed in one step and needs no slot."""

_LARGE_BODIES: Final = 4
"""How many larger bodies are held inflated at the same time. One application has at most half of them."""

_SLICE: Final = 32 * 1024
_ITEM_COST: Final = 256
"""Bytes of JSON that are decoded in one turn, and what each item counts in addition to its own."""

_VALIDATE_ONLY: Final = "validate_only"
"""The field of a request that makes it a dry run."""

_RESULTS_PER_TURN: Final = 50
"""Results with a non-empty response or an error that are read in one turn."""

_FLAWS: Final = {
    "TOO_MANY_VALUES": TOO_MANY_VALUES[1],
    "TOO_LARGE": f"has more than {json_array.ITEM_BYTES:,} bytes",
    "TOO_DEEP": f"is nested deeper than {json_array.LEVELS:,} levels",
}


class BatchCall:
    """Answers the batches of one binding, whose body is an array. Belongs to the running event loop."""

    def __init__(
        self,
        binding: Binding,
        method: BatchMethod,
        channel: Channel,
        rpc_seconds: float,
        decoder: ObjectDecoder,
        turns: Turns,
    ) -> None:
        self.binding = binding
        self.method = method
        self.rpc_seconds = rpc_seconds
        self.decoder = decoder
        self.turns = turns
        self.call = channel.unary_unary(
            method.rpc,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        self.last_start = math.inf
        """When the last RPC may begin, by the loop's clock."""
        self._large = Slots(_LARGE_BODIES, _LARGE_BODIES // 2)

    def stop(self) -> None:
        """Refuse items that are not sent within a while: the gateway stops."""
        self.last_start = min(self.last_start, _now() + STOPPING_SECONDS)

    async def answer(
        self, application: str, request: Request, arguments: Mapping[str, Any], metadata: Metadata
    ) -> Answer:
        """Send a batch. The answer has the outcome of each item. Raises Refusal for the batch as a whole."""
        run = _Run(self, application, arguments, metadata)
        pieces = content_encoding.slices(
            request.body, request.headers.get(b"content-encoding"), content_encoding.ARRAY_BYTES
        )
        inflated: list[bytes] = []
        size = 0
        for piece in pieces:
            inflated.append(piece)
            size += len(piece)
            if size > SMALL_BYTES:
                break
        else:
            return await run.send_small(b"".join(inflated))
        try:
            async with asyncio.timeout(run.last_start - _now()):
                await self._large.acquire(application)
        except TimeoutError:
            raise refusal("NOT_SENT_IN_TIME") from None
        try:
            for piece in pieces:
                inflated.append(piece)
                await run.turn()
            return await run.send_large(b"".join(inflated))
        finally:
            self._large.release(application)


class _Run:
    """One batch in flight."""

    def __init__(self, batch: BatchCall, application: str, arguments: Mapping[str, Any], metadata: Metadata) -> None:
        self._batch = batch
        self._application = application
        # The request's other fields, which each RPC repeats.
        self._common = arguments
        self._metadata = metadata
        self._own_last_start = _now() + SECONDS - batch.rpc_seconds
        self._name = batch.binding.body
        self._outcome = self._outcome_of(0)
        self._is_accepted = False
        """The server has answered an RPC without an error."""
        self._begin_rpc()

    def _outcome_of(self, total: int) -> Outcome:
        is_dry_run = bool(self._common.get(_VALIDATE_ONLY))
        return Outcome(self._name, total, self._batch.decoder.descriptor, is_dry_run=is_dry_run)

    @property
    def last_start(self) -> float:
        """When the last RPC may begin, by the loop's clock."""
        return min(self._own_last_start, self._batch.last_start)

    async def turn(self) -> None:
        """Wait for the application's next slice of work."""
        await self._batch.turns.turn(self._application)

    async def send_small(self, body: bytes) -> Answer:
        """Send the items of a small body."""
        try:
            parsed = json_parser.parse(body) if body else ""
        except json_parser.NotJson as error:
            # An invalid value in one item must not refuse all items.
            return await self.send_large(body, error.byte)
        if parsed is not None and not isinstance(parsed, list):
            raise refusal("BODY_NOT_AN_ARRAY")
        values: list[Any] = parsed or []
        average = len(body) // (len(values) or 1)
        return await self._send_items(len(values), lambda index, _: values[index], lambda _: average)

    async def send_large(self, body: bytes, invalid_byte: int | None = None) -> Answer:
        """Send the items of a large body, or of one that is no JSON from `invalid_byte` on."""
        array = JsonArray(body)
        try:
            for _ in array.windows():
                await self.turn()
        except json_array.NotAnArray:
            raise refusal("BODY_NOT_AN_ARRAY") if invalid_byte is None else _not_json(invalid_byte) from None
        except json_array.TooManyItems:
            raise refusal("BATCH_TOO_LARGE", limit=json_array.ITEMS, items=self._name) from None
        except json_parser.NotJson as error:
            raise _not_json(error.byte) from None

        def parsed(index: int, findings: Findings) -> Any:
            if flaw := array.flaws.get(index):
                findings.refuse((self._name, index), flaw, _FLAWS[flaw])
                return None
            try:
                return json_parser.parse(array.item(index))
            except json_parser.NotJson:
                find_invalid_values(array.item(index), (self._name, index), findings)

        return await self._send_items(len(array), parsed, lambda index: array.ends[index] - array.starts[index])

    async def _send_items(
        self, total: int, parsed: Callable[[int, Findings], Any], size_of: Callable[[int], int]
    ) -> Answer:
        """Send so many items. `parsed` returns the value of an item, or adds a violation; `size_of` its bytes."""
        self._outcome = outcome = self._outcome_of(total)
        work = 0
        for index in range(total):
            work += _ITEM_COST + size_of(index)
            if work > _SLICE:
                work = 0
                await self.turn()
                if _now() > self.last_start:
                    outcome.refuse_all(range(index, total), refusal("NOT_SENT_IN_TIME").status)
                    total = index
                    break
            payload = self._payload(index, parsed)
            if payload is not None:
                if self._indexes and (len(self._indexes) == RPC_ITEMS or self._bytes + len(payload) > RPC_BYTES):
                    await self._send_rpc()
                self._indexes.append(index)
                self._payloads.append(payload)
                self._bytes += len(payload)
        if self._indexes or not self._is_accepted:
            # A batch without items as well: the server authenticates every call.
            await self._send_rpc()
        return outcome.answer()

    def _payload(self, index: int, parsed: Callable[[int, Findings], Any]) -> bytes | None:
        """The item as JSON for the server; None where it is refused."""
        findings = Findings()
        payload = None
        value = parsed(index, findings)
        if isinstance(value, dict):
            payload = self._batch.decoder.as_json(value, (self._name, index), findings)
        elif not findings.violations:
            findings.refuse((self._name, index), WRONG_TYPE, "must be an object")
        if findings.violations:
            self._outcome.refuse_invalid(index, findings.violations)
            return None
        if findings.warnings:
            self._outcome.warn(findings.warnings)
        return payload

    def _begin_rpc(self) -> None:
        self._indexes: list[int] = []
        self._payloads: list[bytes] = []
        self._bytes = 0

    async def _send_rpc(self) -> None:
        method, indexes = self._batch.method, self._indexes
        request = method.request(**{method.items_json: self._payloads}, **self._common)
        self._begin_rpc()
        if _now() > self.last_start:
            self._outcome.refuse_all(indexes, refusal("NOT_SENT_IN_TIME").status)
            return
        try:
            response = await self._batch.call(request, timeout=self._batch.rpc_seconds, metadata=self._metadata)
        except (grpc.aio.AioRpcError, Refusal) as error:
            refused = error if isinstance(error, Refusal) else refusal_from_rpc(error, is_write=True)
            if not self._is_accepted:
                # Nothing of the batch was sent before, and nothing will be.
                raise refused from None
            self._outcome.refuse_all(indexes, refused.status)
            return
        self._is_accepted = True
        if len(response.results) != len(indexes):
            raise ValueError("not one result for each item")
        read = 0
        for place, result in enumerate(response.results):
            if not is_plain(result):
                read += 1
                if read % _RESULTS_PER_TURN == 0:
                    await self.turn()
                self._outcome.add_result(result, indexes, place)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _not_json(byte: int) -> Refusal:
    return refusal("BODY_NOT_JSON", byte=byte)
