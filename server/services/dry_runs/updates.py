"""Dry runs of updates: planned and checked as updates are, computed by the store, and compared with what is stored."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeAlias

from google.protobuf.message import Message

from runtime.turns import Turns
from server import limits
from server.errors import ResponseTooLarge, UserfoldError
from server.model import PlannedUpdate, Preview, Profile, Suppressed
from server.rpc.admission.gate import Gate
from server.rpc.call import Call
from server.services import convert
from server.services.batch_reads import ReadResults
from server.services.dry_runs.changed_paths import paths_between
from server.services.sliced_responses import ResponseBuilder
from server.services.updates.batch_updates import Planned, count_warnings, plan_batch, require_batch, writes_of
from server.services.updates.update_messages import SentUpdates, UpdateMessages
from server.users.ports import Previewed, ProfilePreviews

Results: TypeAlias = Sequence[Any]
"""What each of some updates would do: its response, or its error."""


def gate_of_dry_runs() -> Gate:
    """What all dry runs of a server pass."""
    return Gate(limits.DRY_RUNS, limits.DRY_RUNS_AT_ONCE)


class UpdateDryRuns:
    """Dry runs of updates of one kind. `clock` returns nanoseconds since 1970-01-01 UTC.

    Only few are computed at a time, for which applications take turns at the `gate`. The credential of each call must
    also permit to read profiles of the kind; else ScopeMissing is raised.
    """

    def __init__(
        self, of: UpdateMessages, previews: ProfilePreviews, clock: Callable[[], int], turns: Turns, gate: Gate
    ) -> None:
        self._of = of
        self._previews = previews
        self._clock = clock
        self._turns = turns
        self._gate = gate

    async def update(self, update: Message, call: Call) -> Any:
        """What one update would do. Raises what refuses it."""
        planned = await self._planned(self._of.messages([update]), call)
        async with aclosing(self._parts(planned, call)) as parts:
            (result,) = await anext(parts)
        if isinstance(result, UserfoldError):
            raise result
        count_warnings(self._of.single, [result], call)
        return result

    async def update_batch(self, updates: SentUpdates, call: Call, results: Any) -> None:
        """Add to the repeated field `results` what each update of a batch would do. Raises BatchTooLarge."""
        call.require(self._of.reading)
        require_batch(updates.items)
        planned = await self._planned(updates, call)
        filled, builder = ReadResults(self._of.batch, results, call, self._turns), ResponseBuilder(call, self._turns)
        async with self._gate.within(call.application_id), aclosing(self._previews.preview(writes_of(planned))) as each:
            for index, item in enumerate(planned):
                prefix = self._of.prefix_of(index)
                if isinstance(item, UserfoldError):
                    await filled.refuse(item, prefix)
                elif filled.is_full:
                    # Nothing more is computed.
                    await filled.refuse(ResponseTooLarge(), prefix)
                elif isinstance(previewed := await anext(each), UserfoldError):
                    await filled.refuse(previewed, prefix)
                else:
                    response, fits = await self._response(item, previewed, builder, prefix)
                    await filled.add(response, fits=fits)
        count_warnings(self._of.batch, [result.response for result in results], call)

    async def update_stream(
        self, updates: SentUpdates, call: Call, oversized: frozenset[int]
    ) -> AsyncGenerator[Results, None]:
        """What each update of one message of a stream would do, in parts that each fit into a response."""
        call.oversized = oversized
        async with aclosing(self._parts(await self._planned(updates, call), call)) as parts:
            async for part in parts:
                yield part

    async def _planned(self, updates: SentUpdates, call: Call) -> Planned:
        call.require(self._of.reading)
        addresses = [call.client_address()] * len(updates.items)
        return await plan_batch(call.application_id, updates, addresses, self._clock(), self._turns, call.oversized)

    async def _parts(self, planned: Planned, call: Call) -> AsyncGenerator[Results, None]:
        async with aclosing(self._previews.preview(writes_of(planned))) as previews:
            items = deque(planned)
            kept: list[Previewed] = []
            while items:
                part: list[Any] = []
                builder = ResponseBuilder(call, self._turns)
                # Left while the caller reads the part.
                async with self._gate.within(call.application_id):
                    while items:
                        item = items[0]
                        if isinstance(item, UserfoldError):
                            part.append(item)
                        else:
                            # What did not fit into a part is in the next one.
                            previewed = kept.pop() if kept else await anext(previews)
                            if isinstance(previewed, UserfoldError):
                                part.append(previewed)
                            else:
                                response, fits = await self._response(item, previewed, builder)
                                if not fits:
                                    kept.append(previewed)
                                    break
                                part.append(response)
                        items.popleft()
                yield part

    async def _response(
        self, planned: PlannedUpdate, previewed: Preview | Suppressed, builder: ResponseBuilder, prefix: str = ""
    ) -> tuple[Any, bool]:
        """The response to one update, and whether it fits into the response that is built, as the first always does."""
        if isinstance(previewed, Suppressed):
            return self._of.suppressed(planned, prefix), True
        response = self._of.response(warnings=convert.warning_messages(planned.warnings, prefix))
        size = previewed.after.size
        # A megabyte takes many milliseconds.
        compared = _compared(previewed) if size <= limits.SLICE_BYTES else await asyncio.to_thread(_compared, previewed)
        after, paths = compared
        response.changed_paths.extend(paths)
        return response, await builder.preview(after, size, response, getattr(response, self._of.item))


def _compared(preview: Preview) -> tuple[Profile, Sequence[str]]:
    """The profile after an update, and the paths that it would change."""
    before = None if preview.before is None else preview.before.profile()
    # The etag would be that of a profile that is not stored.
    after = replace(preview.after.profile(), etag=None)
    return after, paths_between(before, after)
