"""A batch of any length: decoded in slices, and sent in one RPC after the other.

One user's updates keep their order. Items are numbered over the whole batch, whichever RPC they are in.
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
from gateway.http.request import Request
from gateway.routing.http_rules import Binding
from gateway.transcoding import items, json_text
from gateway.transcoding.items import Items
from gateway.transcoding.json_decoder import WRONG_TYPE, ObjectDecoder
from gateway.transcoding.odd_values import find_odd_values
from gateway.transcoding.struct_values import TOO_MANY_VALUES
from gateway.upstream.channel import Channel
from gateway.upstream.credentials import Metadata
from gateway.upstream.result import is_plain
from runtime.slots import Slots
from runtime.turns import Turns

SECONDS: Final = 55.0
"""How long a whole batch may take, all waiting included. What was not sent then is refused item by item."""

STOPPING_SECONDS: Final = 15.0
"""How long RPCs are still begun after the gateway was told to stop: the last one must end before it does."""

RPC_ITEMS: Final = 1000
RPC_BYTES: Final = 4 * 1024 * 1024
"""The most of one RPC: items, which is the server's own limit, and the bytes of those; one item may have more."""

SMALL: Final = content_encoding.SLICE
"""A body with so many bytes, inflated, is parsed in one go and waits for no place."""

_LARGE_AT_ONCE: Final = 4
"""Larger bodies that are held inflated at once. One application has at most half of them."""

_SLICE: Final = 32 * 1024
_EACH: Final = 256
"""Bytes of JSON that are decoded in one go, and what each item counts beside its own: together about 2 ms."""

_TOLD_AT_ONCE: Final = 50
"""Results that say more than "saved" and are read in one go: as long."""

_FLAWS: Final = {
    "TOO_MANY_VALUES": TOO_MANY_VALUES[1],
    "TOO_LARGE": f"has more than {items.ITEM_BYTES:,} bytes",
    "TOO_DEEP": f"is nested deeper than {items.LEVELS:,} levels",
}


class BatchCall:
    """Answers the batches of one binding, whose body is an array. Belongs to the running event loop."""

    def __init__(
        self, binding: Binding, channel: Channel, rpc_seconds: float, decoder: ObjectDecoder, turns: Turns
    ) -> None:
        self.binding = binding
        self.rpc_seconds = rpc_seconds
        self.decoder = decoder
        self.turns = turns
        self.call = channel.unary_unary(
            binding.rpc, request_serializer=bytes, response_deserializer=binding.response.FromString
        )
        self.last_start = math.inf
        """When the last RPC may begin, by the loop's clock."""
        self._large = Slots(_LARGE_AT_ONCE, _LARGE_AT_ONCE // 2)

    def stop(self) -> None:
        """The gateway stops: what is not sent within a while is refused."""
        self.last_start = min(self.last_start, _now() + STOPPING_SECONDS)

    async def answer(
        self, application: str, request: Request, arguments: Mapping[str, Any], metadata: Metadata
    ) -> Answer:
        """Send a batch, and answer for each of its items. Raises Refusal for the batch as a whole."""
        run = _Run(self, application, arguments, metadata)
        pieces = content_encoding.slices(
            request.body, request.headers.get(b"content-encoding"), content_encoding.ARRAY_BYTES
        )
        text: list[bytes] = []
        size = 0
        for piece in pieces:
            text.append(piece)
            size += len(piece)
            if size > SMALL:
                break
        else:
            return await run.small(b"".join(text))
        try:
            async with asyncio.timeout(run.last_start - _now()):
                await self._large.acquire(application)
        except TimeoutError:
            raise refusal("NOT_SENT_IN_TIME") from None
        try:
            for piece in pieces:
                text.append(piece)
                await run.turn()
            return await run.large(b"".join(text))
        finally:
            self._large.release(application)


class _Run:
    """One batch on its way."""

    def __init__(self, batch: BatchCall, owner: str, arguments: Mapping[str, Any], metadata: Metadata) -> None:
        self._batch = batch
        self._owner = owner
        # What all items have in common, once for each RPC.
        self._beside = batch.binding.request(**arguments).SerializeToString()
        self._metadata = metadata
        self._time = _now() + SECONDS - batch.rpc_seconds
        self._name = batch.binding.body
        self._outcome = Outcome(self._name, 0, batch.decoder.descriptor)
        self._is_known = False
        """The server has answered an RPC."""
        self._begin_rpc()

    @property
    def last_start(self) -> float:
        """When the last RPC may begin, by the loop's clock."""
        return min(self._time, self._batch.last_start)

    async def turn(self) -> None:
        """Wait for the application's next slice of work."""
        await self._batch.turns.turn(self._owner)

    async def small(self, text: bytes) -> Answer:
        """Send the items of a short text."""
        try:
            parsed = json_text.parse(text) if text else ""
        except json_text.NotJson as error:
            # One odd item must not refuse the others.
            return await self.large(text, error.byte)
        if parsed is not None and not isinstance(parsed, list):
            raise refusal("BODY_NOT_AN_ARRAY")
        values: list[Any] = parsed or []
        return await self._send_items(len(values), lambda index, _: values[index], len(text) // (len(values) or 1))

    async def large(self, text: bytes, wrong_byte: int | None = None) -> Answer:
        """Send the items of a long text, or of one that is wrong at this byte."""
        found = Items(text)
        try:
            for _ in found.windows():
                await self.turn()
        except items.NotAnArray:
            raise refusal("BODY_NOT_AN_ARRAY") if wrong_byte is None else _not_json(wrong_byte) from None
        except items.TooManyItems:
            raise refusal("BATCH_TOO_LARGE", limit=items.ITEMS, items=self._name) from None
        except json_text.NotJson as error:
            raise _not_json(error.byte) from None

        def parsed(index: int, findings: Findings) -> Any:
            if flaw := found.flaws.get(index):
                findings.refuse((self._name, index), flaw, _FLAWS[flaw])
                return None
            try:
                return json_text.parse(found.item(index))
            except json_text.NotJson:
                find_odd_values(found.item(index), (self._name, index), findings)

        return await self._send_items(len(found), parsed, None, found)

    async def _send_items(
        self, total: int, parsed: Callable[[int, Findings], Any], size: int | None, found: Items | None = None
    ) -> Answer:
        self._outcome = outcome = Outcome(self._name, total, self._batch.decoder.descriptor)
        work = 0
        for index in range(total):
            work += _EACH + (found.ends[index] - found.starts[index] if found else size or 0)
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
        if self._indexes or not self._is_known:
            # One without items, too: the server authenticates every call.
            await self._send_rpc()
        return outcome.answer()

    def _payload(self, index: int, parsed: Callable[[int, Findings], Any]) -> bytes | None:
        """The request with this item alone, encoded; None where it is refused."""
        findings = Findings()
        arguments: dict[str, Any] = {}
        value = parsed(index, findings)
        if isinstance(value, dict):
            arguments = self._batch.decoder.arguments(value, (self._name, index), findings)
        elif not findings.violations:
            findings.refuse((self._name, index), WRONG_TYPE, "must be an object")
        if findings.violations:
            self._outcome.refuse_invalid(index, findings.violations)
            return None
        self._outcome.warn(findings.warnings)
        return self._batch.binding.request(**{self._name: [arguments]}).SerializeToString()

    def _begin_rpc(self) -> None:
        self._indexes: list[int] = []
        self._payloads: list[bytes] = []
        self._bytes = 0

    async def _send_rpc(self) -> None:
        # Encoded messages behind each other are one message, their repeated fields joined.
        indexes, payload = self._indexes, b"".join([self._beside, *self._payloads])
        self._begin_rpc()
        if _now() > self.last_start:
            self._outcome.refuse_all(indexes, refusal("NOT_SENT_IN_TIME").status)
            return
        try:
            response = await self._batch.call(payload, timeout=self._batch.rpc_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            refused = refusal_from_rpc(error, is_write=True)
            if not self._is_known:
                # Nothing else of the batch was sent, and nothing will be.
                raise refused from None
            self._outcome.refuse_all(indexes, refused.status)
            return
        self._is_known = True
        if len(response.results) != len(indexes):
            raise ValueError("not one result for each item")
        told = 0
        for place, result in enumerate(response.results):
            if not is_plain(result):
                told += 1
                if told % _TOLD_AT_ONCE == 0:
                    await self.turn()
                self._outcome.add_result(result, indexes, place)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _not_json(byte: int) -> Refusal:
    return refusal("BODY_NOT_JSON", byte=byte)
