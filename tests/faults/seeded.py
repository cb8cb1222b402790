"""`python -m tests.faults.seeded`: the server with the bug that FAULTS_BUG names.

The checker must find each bug.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pymongo import WriteConcern
from pymongo.errors import BulkWriteError

from server.__main__ import main
from server.model import STORED, PlannedUpdate, ProfileWrite, UserUpdate
from server.mongo import client
from server.mongo.identity import merges
from server.mongo.identity.merges import MongoProfileMerges
from server.mongo.writes import bulk, conditional, profiles
from server.mongo.writes.bulk import DUPLICATE_KEY, BulkResult, Operation, write_in_bulk
from server.mongo.writes.conditional import ConditionalWrites
from server.mongo.writes.profiles import MongoProfileStore
from server.services.updates import batch_updates, update_methods
from server.users.ports import Outcome
from server.users.update import plan_update
from tests.faults.cluster import VARIABLE

# One update in this number gets the wrong application.
_MIXED_UP = 50

_applied = MongoProfileStore.apply
_details = BulkWriteError.details
_planned = plan_update


def _put(owner: object, name: str, value: object) -> None:
    """Replace what is there under this name. Raises AttributeError if there is nothing: it would be no bug."""
    getattr(owner, name)
    setattr(owner, name, value)


def _acknowledge_before_the_write() -> None:
    pending = set()

    async def apply(self: MongoProfileStore, writes: Sequence[ProfileWrite]) -> Sequence[Outcome]:
        task = asyncio.create_task(_applied(self, writes))
        pending.add(task)
        task.add_done_callback(pending.discard)
        return [STORED] * len(writes)

    _put(MongoProfileStore, "apply", apply)


def _ignore_write_concern_errors() -> None:
    details: Any = _details
    _put(BulkWriteError, "details", property(lambda error: {**details.fget(error), "writeConcernErrors": []}))
    # MongoDB returns these when the write concern times out.
    _put(bulk, "WRITE_SECONDS", 1.5)


def _drop_duplicate_keys() -> None:
    async def write(collection: Any, operations: Sequence[Operation]) -> BulkResult:
        result = await write_in_bulk(collection, operations)
        return replace(result, codes={at: code for at, code in result.codes.items() if code != DUPLICATE_KEY})

    _put(profiles, "write_in_bulk", write)


def _mix_applications_up() -> None:
    seen: list[str] = []

    def plan(application_id: str, update: UserUpdate, now: int) -> PlannedUpdate:
        seen.append(application_id)
        return _planned(seen[0] if len(seen) % _MIXED_UP == 0 else application_id, update, now)

    _put(batch_updates, "plan_update", plan)
    _put(update_methods, "plan_update", plan)


def _do_not_wait_for_the_majority() -> None:
    _put(client, "_WRITE_CONCERN", WriteConcern(w=1))


def _write_to_any_document() -> None:
    update = ConditionalWrites._update

    async def slowly(self: Any, *arguments: Any) -> Any:
        # Rivals have time to be first.
        await asyncio.sleep(0.3)
        return await update(self, *arguments)

    _put(ConditionalWrites, "_update", slowly)
    _put(conditional, "only", lambda document: {"_id": document["_id"]})


def _merge_without_a_transaction() -> None:
    merge = MongoProfileMerges._merge

    async def apart(_: Any, write: Callable[[Any], Any]) -> Any:
        return await write(None)

    async def slowly(self: Any, *arguments: Any) -> None:
        # The opposite merge, and updates, have time to be first.
        await asyncio.sleep(0.05)
        await merge(self, *arguments)

    _put(merges, "together", apart)
    _put(MongoProfileMerges, "_merge", slowly)


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
