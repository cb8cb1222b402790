"""A stream of updates: read while there is room, acknowledged as MongoDB confirms the writes."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from runtime.turns import Turns
from server import limits
from server.commit.write_batcher import WriteBatcher
from server.errors import BatchTooLarge, ServerStopping, UserfoldError
from server.model import PlannedUpdate
from server.rpc.call import Call
from server.rpc.observing.refusal_log import status_of_refusal
from server.rpc.parsing import ParsedRequest
from server.services.dry_runs.updates import Results as DryRunResults
from server.services.dry_runs.updates import UpdateDryRuns
from server.services.updates.batch_updates import (
    REFUSED_IN_ONE_TURN,
    Planned,
    count_warnings,
    plan_batch,
    slices_of,
    writes_of,
)
from server.services.updates.update_messages import SentUpdates, UpdateMessages
from server.users.ports import Outcome


@dataclass(frozen=True, slots=True)
class _Settled:
    """The updates of one request, or a part of them, with the outcomes of those that are written. `number` is that of
    the first. Those of a dry run have their responses already."""

    number: int
    planned: Planned | DryRunResults
    outcomes: asyncio.Future[Sequence[Outcome]]


class UpdateStream:
    """The updates of a stream, which ends when `stopping` is set. `clock` returns nanoseconds since 1970-01-01 UTC."""

    def __init__(
        self,
        of: UpdateMessages,
        profiles: WriteBatcher,
        dry_runs: UpdateDryRuns,
        call: Call,
        clock: Callable[[], int],
        stopping: asyncio.Event,
        turns: Turns,
    ) -> None:
        self._of = of
        self._profiles = profiles
        self._dry_runs = dry_runs
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

    async def acknowledge(self, requests: AsyncIterable[ParsedRequest]) -> AsyncIterator[Any]:
        """Acknowledge the updates of the requests. Each response acknowledges all updates that are settled by then.

        After every update that was read is acknowledged, raises BatchTooLarge or ServerStopping, or ScopeMissing of a
        dry run, where one of these ended the stream.
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
            sent = self._of.messages(getattr(request, self._of.items))
            count = len(sent.items)
            if count > limits.BATCH_UPDATES:
                raise BatchTooLarge
            if request.validate_only:
                await self._dry_run(number, sent, oversized)
                number += count
                continue
            addresses = [self._client_address] * count
            planned = await plan_batch(self._application_id, sent, addresses, self._clock(), self._turns, oversized)
            # In parts: there may never be room for all updates of a large request together.
            start = 0
            sizes = (item.write.size if isinstance(item, PlannedUpdate) else 0 for item in planned)
            for size in slices_of(sizes, limits.STREAM_BYTES):
                await self._submit(number, planned[start : start + size])
                start += size
                number += size

    async def _dry_run(self, number: int, updates: SentUpdates, oversized: frozenset[int]) -> None:
        """Compute what updates would do after all that are before them."""
        # Only one response with profiles is held at a time.
        await self._until_acknowledged()
        async with aclosing(self._dry_runs.update_stream(updates, self._call, oversized)) as parts:
            async for part in parts:
                outcomes: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
                outcomes.set_result(())
                self._unacknowledged += len(part)
                self._settled.append(_Settled(number, part, outcomes))
                self._progress.set()
                number += len(part)
                await self._until_acknowledged()

    async def _until_acknowledged(self) -> None:
        while self._unacknowledged:
            self._acknowledged.clear()
            await self._acknowledged.wait()

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

    async def _response(self, settled: Sequence[_Settled]) -> Any:
        of = self._of
        response = of.stream_response()
        warned: list[Any] = []
        refused = 0
        for part in settled:
            outcomes = iter(part.outcomes.result())
            for offset, item in enumerate(part.planned):
                acknowledgement = response.acknowledgements.add(sequence_number=part.number + offset)
                result = of.response_of(item, next(outcomes)) if isinstance(item, PlannedUpdate) else item
                if isinstance(result, UserfoldError):
                    refused += 1
                    if refused % REFUSED_IN_ONE_TURN == 0:
                        await self._turns.turn(self._application_id)
                    call = self._call
                    status = status_of_refusal(of.stream, result, call.origin, refusals=call.refusals)
                    acknowledgement.error.CopyFrom(status)
                else:
                    if result.warnings:
                        warned.append(result)
                    acknowledgement.response.CopyFrom(result)
        if warned:
            count_warnings(of.stream, warned, self._call)
        return response
