"""The methods that update profiles, which are the same for users and companies."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

from runtime.turns import Turns
from server.commit.write_batcher import WriteBatcher
from server.errors import UserfoldError
from server.model import PlannedUpdate
from server.rpc.call import Call
from server.rpc.parsing import ParsedRequest
from server.services.dry_runs.updates import UpdateDryRuns
from server.services.updates.batch_updates import BatchUpdater, count_warnings, require_batch
from server.services.updates.update_messages import UpdateMessages
from server.services.updates.update_stream import UpdateStream
from server.users.update import plan_update


class UpdateMethods:
    """Serves updates of one kind of profiles.

    `clock` returns nanoseconds since 1970-01-01 UTC. Streams end when `stopping` is set. Long work is done in slices,
    in `turns` of the applications.
    """

    def __init__(
        self,
        of: UpdateMessages,
        profiles: WriteBatcher,
        dry_runs: UpdateDryRuns,
        clock: Callable[[], int],
        stopping: asyncio.Event,
        turns: Turns,
    ) -> None:
        self._of = of
        self._profiles = profiles
        self._updater = BatchUpdater(of, profiles, clock, turns)
        self._dry_runs = dry_runs
        self._clock = clock
        self._stopping = stopping
        self._turns = turns

    async def update(self, request: Any, call: Call) -> Any:
        """The response to a request with one update."""
        of = self._of
        update = getattr(request, of.item)
        if request.validate_only:
            return await self._dry_runs.update(update, call)
        application_id, now, address = call.application_id, self._clock(), call.client_address()

        def plan() -> PlannedUpdate:
            return plan_update(application_id, of.from_message(update, address), now)

        planned, outcome = await self._profiles.submit_unplanned(application_id, call.size_bytes, plan)
        response = of.response_of(planned, outcome)
        if isinstance(response, UserfoldError):
            raise response
        if response is not of.plain:
            count_warnings(of.single, [response], call)
        return response

    async def update_batch(self, request: Any, addresses: list[str], call: Call, results: Any) -> None:
        """Add the results of a request with several updates to the repeated field `results`."""
        updates = self._of.messages(getattr(request, self._of.items))
        if request.validate_only:
            await self._dry_runs.update_batch(updates, call, results)
            return
        require_batch(updates.items)
        await self._updater.update(updates, addresses, call, results)

    async def update_batch_of_json(self, request: Any, call: Call, results: Any) -> None:
        """As `update_batch`, with updates of many clients as JSON."""
        items = getattr(request, f"{self._of.items}_json")
        updates = self._of.json_objects(items)
        if request.validate_only:
            await self._dry_runs.update_batch(updates, call, results)
            return
        if len(request.origins) == len(items):
            call.origins, call.client_addresses = request.origins, request.client_addresses
        await self._updater.update(updates, request.client_addresses, call, results)

    async def update_stream(self, requests: AsyncIterable[ParsedRequest], call: Call) -> AsyncIterator[Any]:
        """The responses to the requests of a stream."""
        stream = UpdateStream(self._of, self._profiles, self._dry_runs, call, self._clock, self._stopping, self._turns)
        async for response in stream.acknowledge(requests):
            yield response
