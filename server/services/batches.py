"""Batches of updates, of one client or of many: planned, stored, and answered item by item."""

from collections.abc import Callable, Sequence, Sized
from typing import Any

from userfold.v1 import user_pb2

from runtime.turns import Turns
from server import limits
from server.commit.group_commit import GroupedProfileStore
from server.errors import BatchTooLarge, InvalidRequest, Violation
from server.rpc.call import Call
from server.services.batch_results import fill_results, plan_batch, writes_of
from server.users.addresses import client_address


class Batches:
    """Folds batches into the profiles of a store. `clock` returns the time in nanoseconds since 1970-01-01 UTC."""

    def __init__(self, profiles: GroupedProfileStore, clock: Callable[[], int], turns: Turns) -> None:
        self._profiles = profiles
        self._clock = clock
        self._turns = turns

    async def update(
        self,
        updates: Sequence[user_pb2.UserUpdate],
        addresses: Sequence[str],
        observed: str | None,
        call: Call,
        results: Any,
    ) -> None:
        """Fold the updates of a call, and add the result of each to the repeated field `results`.

        `addresses` are what was told of the clients, one for each update. Without any, all came from `observed`. Raises
        BatchTooLarge or, where their number is another, InvalidRequest.
        """
        require_batch(updates)
        if addresses and len(addresses) != len(updates):
            raise InvalidRequest([Violation("client_addresses", "WRONG_LENGTH", "must be as many as users, or none")])
        application_id = call.application.application_id
        clients = [client_address(address) for address in addresses] or [observed] * len(updates)
        planned = await plan_batch(application_id, updates, clients, self._clock(), self._turns, call.oversized)
        outcomes = await self._profiles.submit(writes_of(planned))
        await fill_results(results, planned, outcomes, application_id, self._turns)


def require_batch(items: Sized) -> None:
    """Raise BatchTooLarge where a batch has too many items."""
    if len(items) > limits.BATCH_UPDATES:
        raise BatchTooLarge
