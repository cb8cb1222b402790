"""A stream of updates: read while there is room, acknowledged as MongoDB answers."""

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
from server.services.batch_results import REFUSED_IN_ONE_TURN, Planned, plan_batch, response_of, slices_of, writes_of
from server.users.ports import Outcome


@dataclass(frozen=True, slots=True)
class _Settled:
    """The updates of one message, and what became of them. `number` is that of the first."""

    number: int
    planned: Planned
    outcomes: asyncio.Future[Sequence[Outcome]]


class UpdateStream:
    """The updates of one stream, which ends when `stopping` is set.

    `clock` tells the time in nanoseconds since 1970-01-01 UTC.
    """

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
        self._moved = asyncio.Event()

    async def acknowledge(self, requests: AsyncIterable[ParsedRequest]) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        """Answer the requests, whatever is settled by then in one response.

        Raises, when all that was read is answered, BatchTooLarge, ServerStopping or what `refuse_validate_only` raises.
        """
        reading = asyncio.ensure_future(self._read(requests))
        reading.add_done_callback(lambda _: self._moved.set())
        stopped = asyncio.ensure_future(self._stopping.wait())
        stopped.add_done_callback(lambda _: reading.cancel())
        try:
            while self._unacknowledged or not reading.done():
                self._moved.clear()
                if not self._settled:
                    await self._moved.wait()
                    continue
                settled, self._settled = self._settled, []
                yield await self._response(settled)
                # Only now: a producer that takes no acknowledgements is not read from for ever.
                self._unacknowledged -= sum(len(each.planned) for each in settled)
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
                self._application_id, request.users, addresses, self._clock(), self._turns, oversized
            )
            # Part by part: there may never be room for all of a large message at once.
            start = 0
            sizes = (item.write.size if isinstance(item, PlannedUpdate) else 0 for item in planned)
            for part in slices_of(sizes, limits.STREAM_BYTES):
                await self._submit(number, planned[start : start + part])
                start += part
                number += part

    async def _submit(self, number: int, planned: Planned) -> None:
        """Submit updates when there is room for them, however long that takes."""
        count, writes = len(planned), writes_of(planned)
        while self._unacknowledged and self._unacknowledged + count > limits.STREAM_UPDATES:
            self._acknowledged.clear()
            await self._acknowledged.wait()
        await self._profiles.wait_for_room(self._application_id, len(writes), sum([write.size for write in writes]))

        def settle(outcomes: asyncio.Future[Sequence[Outcome]]) -> None:
            self._settled.append(_Settled(number, planned, outcomes))
            self._moved.set()

        submitted = self._profiles.submit(writes)
        self._unacknowledged += count
        submitted.add_done_callback(settle)

    async def _response(self, settled: Sequence[_Settled]) -> pb.StreamUpdateUsersResponse:
        response = pb.StreamUpdateUsersResponse()
        refused = 0
        for each in settled:
            outcomes = iter(each.outcomes.result())
            for offset, item in enumerate(each.planned):
                acknowledgement = response.acknowledgements.add(sequence_number=each.number + offset)
                told = response_of(item, next(outcomes)) if isinstance(item, PlannedUpdate) else item
                if isinstance(told, UserfoldError):
                    refused += 1
                    if refused % REFUSED_IN_ONE_TURN == 0:
                        await self._turns.turn(self._application_id)
                    acknowledgement.error.CopyFrom(status_of_refusal("StreamUpdateUsers", told))
                else:
                    acknowledgement.response.CopyFrom(told)
        return response
