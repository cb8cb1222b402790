"""A stream of updates: read while there is room, acknowledged as MongoDB confirms the writes."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from userfold.v1 import user_service_pb2 as pb

from runtime.turns import Turns
from server import limits
from server.commit.write_batcher import WriteBatcher
from server.errors import BatchTooLarge, ServerStopping, UserfoldError
from server.model import PlannedUpdate
from server.rpc.call import Call
from server.rpc.parsing import ParsedRequest
from server.rpc.refusal_log import status_of_refusal
from server.services.batch_updates import (
    REFUSED_IN_ONE_TURN,
    Planned,
    messages,
    plan_batch,
    response_of,
    slices_of,
    writes_of,
)
from server.users.ports import Outcome


@dataclass(frozen=True, slots=True)
class _Settled:
    """The updates of one request, or a part of them, with their outcomes. `number` is that of the first."""

    number: int
    planned: Planned
    outcomes: asyncio.Future[Sequence[Outcome]]


class UpdateStream:
    """The updates of a stream, which ends when `stopping` is set. `clock` returns nanoseconds since 1970-01-01 UTC."""

    def __init__(
        self,
        profiles: WriteBatcher,
        call: Call,
        clock: Callable[[], int],
        stopping: asyncio.Event,
        turns: Turns,
    ) -> None:
        self._profiles = profiles
        self._call = call
        self._application_id = call.application_id
        self._client_address = call.client_address()
        self._clock = clock
        self._stopping = stopping
        self._turns = turns
        self._unacknowledged = 0
        self._acknowledged = asyncio.Event()
        self._settled: list[_Settled] = []
        self._progress = asyncio.Event()

    async def acknowledge(self, requests: AsyncIterable[ParsedRequest]) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        """Acknowledge the updates of the requests. Each response acknowledges all updates that are settled by then.

        After every update that was read is acknowledged, raises BatchTooLarge, ServerStopping or what
        `refuse_validate_only` raises, where one of these ended the stream.
        """
        reading = asyncio.ensure_future(self._read(requests))
        reading.add_done_callback(lambda _: self._progress.set())
        stopped = asyncio.ensure_future(self._stopping.wait())
        stopped.add_done_callback(lambda _: reading.cancel())
        try:
            while self._unacknowledged or not reading.done():
                self._progress.clear()
                if not self._settled:
                    await self._progress.wait()
                    continue
                settled, self._settled = self._settled, []
                yield await self._response(settled)
                # Only after the client took the response: a client that takes none must not be read without limit.
                self._unacknowledged -= sum(len(part.planned) for part in settled)
                self._acknowledged.set()
            if reading.cancelled():
                raise ServerStopping
            await reading
        finally:
            reading.cancel()
            stopped.cancel()

    async def _read(self, requests: AsyncIterable[ParsedRequest]) -> None:
        number = 0
        async for request, oversized in requests:
            self._call.refuse_validate_only(request)
            count = len(request.users)
            if count > limits.BATCH_UPDATES:
                raise BatchTooLarge
            addresses = [self._client_address] * count
            planned = await plan_batch(
                self._application_id, messages(request.users), addresses, self._clock(), self._turns, oversized
            )
            # In parts: there may never be room for all updates of a large request together.
            start = 0
            sizes = (item.write.size if isinstance(item, PlannedUpdate) else 0 for item in planned)
            for size in slices_of(sizes, limits.STREAM_BYTES):
                await self._submit(number, planned[start : start + size])
                start += size
                number += size

    async def _submit(self, number: int, planned: Planned) -> None:
        """Submit updates as soon as there is room for them."""
        count, writes = len(planned), writes_of(planned)
        while self._unacknowledged and self._unacknowledged + count > limits.STREAM_UPDATES:
            self._acknowledged.clear()
            await self._acknowledged.wait()
        await self._profiles.wait_for_room(self._application_id, len(writes), sum([write.size for write in writes]))

        def settle(outcomes: asyncio.Future[Sequence[Outcome]]) -> None:
            self._settled.append(_Settled(number, planned, outcomes))
            self._progress.set()

        submitted = self._profiles.submit(writes)
        self._unacknowledged += count
        submitted.add_done_callback(settle)

    async def _response(self, settled: Sequence[_Settled]) -> pb.StreamUpdateUsersResponse:
        response = pb.StreamUpdateUsersResponse()
        refused = 0
        for part in settled:
            outcomes = iter(part.outcomes.result())
            for offset, item in enumerate(part.planned):
                acknowledgement = response.acknowledgements.add(sequence_number=part.number + offset)
                result = response_of(item, next(outcomes)) if isinstance(item, PlannedUpdate) else item
                if isinstance(result, UserfoldError):
                    refused += 1
                    if refused % REFUSED_IN_ONE_TURN == 0:
                        await self._turns.turn(self._application_id)
                    acknowledgement.error.CopyFrom(status_of_refusal("StreamUpdateUsers", result))
                else:
                    acknowledgement.response.CopyFrom(result)
        return response
