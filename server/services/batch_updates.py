"""Batches of updates, from one client or from many: planned, stored, and a result for each."""

from collections.abc import Callable, Sequence, Sized
from typing import Any

from userfold.v1 import user_pb2

from runtime.turns import Turns
from server import limits
from server.commit.write_batcher import WriteBatcher
from server.errors import BatchTooLarge, InvalidRequest, Violation
from server.rpc.call import Call
from server.services.batch_results import fill_results, plan_batch, writes_of
from server.users.addresses import client_address


class BatchUpdater:
    """Merges batches of updates into the profiles of a store. `clock` returns nanoseconds since 1970-01-01 UTC."""

    def __init__(self, profiles: WriteBatcher, clock: Callable[[], int], turns: Turns) -> None:
        self._profiles = profiles
        self._clock = clock
        self._turns = turns

    async def update(
        self, updates: Sequence[user_pb2.UserUpdate], addresses: Sequence[str], call: Call, results: Any
    ) -> None:
        """Merge the updates of a call, and add the result of each to the repeated field `results`.

        `addresses` are the addresses of the clients, one for each update. Where there are none, every update is from
        the client of the call. Raises BatchTooLarge, or InvalidRequest where there are too many or too few addresses.
        """
        require_batch(updates)
        if addresses and len(addresses) != len(updates):
            raise InvalidRequest([Violation("client_addresses", "WRONG_LENGTH", "must be as many as users, or none")])
        clients = [client_address(address) for address in addresses] or [call.client_address()] * len(updates)
        planned = await plan_batch(call.application_id, updates, clients, self._clock(), self._turns, call.oversized)
        outcomes = await self._profiles.submit(writes_of(planned))
        await fill_results(results, planned, outcomes, call.application_id, self._turns)


def require_batch(items: Sized) -> None:
    """Raise BatchTooLarge where a batch has too many items."""
    if len(items) > limits.BATCH_UPDATES:
        raise BatchTooLarge
