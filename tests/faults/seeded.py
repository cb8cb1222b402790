"""`python -m tests.faults.seeded`: the server with the bug that FAULTS_BUG names.

The checker must find each bug.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from pymongo import WriteConcern
from pymongo.errors import BulkWriteError

from server.__main__ import main
from server.model import STORED, PlannedUpdate, ProfileWrite, UserUpdate
from server.mongo import client
from server.mongo.identity import merges
from server.mongo.writes import bulk, conditional, profiles
from server.mongo.writes.bulk import DUPLICATE_KEY, BulkResult, Operation, write_in_bulk
from server.mongo.writes.profiles import MongoProfileStore
from server.services.updates import batch_updates, update_methods
from server.users.ports import Outcome
from server.users.update import plan_update
from tests.faults.cluster import VARIABLE

# One update in this number gets the wrong application.
_MIXED_UP = 50

# Typed so that names in these modules can be replaced.
_batch, _methods, _bulk, _database, _profiles, _conditional, _merges = cast(
    Sequence[Any], (batch_updates, update_methods, bulk, client, profiles, conditional, merges)
)

_applied = MongoProfileStore.apply
_details = BulkWriteError.details
_planned = plan_update


def _acknowledge_before_the_write() -> None:
    pending = set()

    async def apply(self: MongoProfileStore, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        task = asyncio.create_task(_applied(self, writes))
        pending.add(task)
        task.add_done_callback(pending.discard)
        return [STORED] * len(writes)

    MongoProfileStore.apply = apply  # type: ignore[method-assign]


def _ignore_write_concern_errors() -> None:
    details: Any = _details
    BulkWriteError.details = property(lambda error: {**details.fget(error), "writeConcernErrors": []})  # type: ignore[assignment]
    # MongoDB returns these when the write concern times out.
    _bulk.WRITE_SECONDS = 1.5


def _drop_duplicate_keys() -> None:
    async def write(collection: Any, operations: Sequence[Operation]) -> BulkResult:
        result = await write_in_bulk(collection, operations)
        return replace(result, codes={at: code for at, code in result.codes.items() if code != DUPLICATE_KEY})

    _profiles.write_in_bulk = write


def _mix_applications_up() -> None:
    seen: list[str] = []

    def plan(application_id: str, update: UserUpdate, now: int) -> PlannedUpdate:
        seen.append(application_id)
        return _planned(seen[0] if len(seen) % _MIXED_UP == 0 else application_id, update, now)

    _batch.plan_update = _methods.plan_update = plan


def _do_not_wait_for_the_majority() -> None:
    _database._WRITE_CONCERN = WriteConcern(w=1)


def _write_to_any_document() -> None:
    update = _conditional.ConditionalWrites._update

    async def slowly(self: Any, *arguments: Any) -> Any:
        # Rivals have time to be first.
        await asyncio.sleep(0.05)
        return await update(self, *arguments)

    _conditional.ConditionalWrites._update = slowly
    _conditional._only = lambda profile_id, _: {"_id": profile_id}


def _merge_without_a_transaction() -> None:
    merge = _merges.MongoProfileMerges._merge

    async def apart(_: Any, write: Callable[[Any], Any]) -> Any:
        return await write(None)

    async def slowly(self: Any, *arguments: Any) -> None:
        # The opposite merge, and updates, have time to be first.
        await asyncio.sleep(0.05)
        await merge(self, *arguments)

    _merges.together = apart
    _merges.MongoProfileMerges._merge = slowly


BUGS: Final[Mapping[str, Callable[[], None]]] = {
    "acknowledge-before-write": _acknowledge_before_the_write,
    "ignore-write-concern-errors": _ignore_write_concern_errors,
    "drop-duplicate-key": _drop_duplicate_keys,
    "wrong-application": _mix_applications_up,
    "w-1": _do_not_wait_for_the_majority,
    "lost-condition": _write_to_any_document,
    "merge-in-parts": _merge_without_a_transaction,
}

if __name__ == "__main__":
    BUGS[os.environ[VARIABLE]]()
    sys.exit(main())
