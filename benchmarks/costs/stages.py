"""The CPU time of the server for an update in a batch of 100, by stage, without gRPC and on idle cores."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

import bson
from userfold.v1.user_service_pb2 import BatchUpdateUsersResponse

from benchmarks.load.users import BATCH, Load, body_of
from benchmarks.stack import Stack
from runtime import memory
from runtime.refusal_counts import Counts, RefusalCounts
from runtime.turns import Turns
from server.accounts.scopes import COLLECTOR_SCOPES
from server.commit.write_batcher import WriteBatcher
from server.model import Application, CredentialKind
from server.mongo.client import connect, open_database
from server.mongo.writes.profiles import MongoProfileStore
from server.mongo.writes.update_document import dotted_update
from server.rpc.call import Call
from server.services.updates.batch_updates import BatchUpdater
from server.services.updates.update_from_json import update_from_json
from server.services.updates.update_messages import OF_USERS
from server.users.update import plan_update

_BATCHES: Final = 10
_ROUNDS: Final = 9
_APPLICATION: Final = "costs"


async def stages(stack: Stack) -> dict[str, float]:
    """The microseconds of each stage per update: the least of several rounds, which other programs disturb least."""
    bodies = [body_of(user_id).encode() for user_id in Load("costs-stages", 0).base[: _BATCHES * BATCH]]
    now = time.time_ns()
    updates = [update_from_json(body, None) for body in bodies]
    writes = [plan_update(_APPLICATION, update, now).write for update in updates]
    documents = [{"q": {"_id": write.profile_id}, "u": dotted_update(write), "upsert": True} for write in writes]
    client = connect(stack.uri)
    # As a server does at its start.
    memory.settle()
    try:
        store = MongoProfileStore(open_database(client, stack.userfold.collection.database.name))
        batches = [writes[first : first + BATCH] for first in range(0, len(writes), BATCH)]

        async def write() -> None:
            for batch in batches:
                await store.apply(batch)

        read = await _least(_all(lambda: [update_from_json(body, None) for body in bodies]), len(bodies))
        plan = await _least(_all(lambda: [plan_update(_APPLICATION, update, now) for update in updates]), len(bodies))
        statement = await _least(_all(lambda: [dotted_update(write) for write in writes]), len(bodies))
        encoded = await _least(_all(lambda: [bson.encode(document) for document in documents]), len(bodies))
        written = await _least(write, len(bodies))
        total = await _least(lambda: _updated(bodies, store), len(bodies))
    finally:
        client.close()
    return {
        "from JSON to an update": read,
        "the plan of its write": plan,
        "the queue, the group, its outcome and its result": total - read - plan - written,
        "the statement": statement,
        "BSON": encoded,
        "the driver, its threads and the socket": written - statement - encoded,
        "in all": total,
    }


def _all(work: Callable[[], Iterable[object]]) -> Callable[[], Awaitable[object]]:
    async def run() -> None:
        work()

    return run


async def _updated(bodies: Sequence[bytes], store: MongoProfileStore) -> None:
    """Update with concurrent batches, as a server does once gRPC has parsed them."""
    updater = BatchUpdater(OF_USERS, WriteBatcher(store), time.time_ns, Turns())
    application = Application(_APPLICATION, CredentialKind.COLLECTOR, COLLECTOR_SCOPES)
    call = Call(application, (), lambda: "unix:", RefusalCounts(_unstored, time.time))
    responses = [BatchUpdateUsersResponse() for _ in range(0, len(bodies), BATCH)]
    await asyncio.gather(
        *(
            updater.update(
                OF_USERS.json_objects(bodies[place * BATCH : (place + 1) * BATCH]), [], call, response.results
            )
            for place, response in enumerate(responses)
        )
    )


async def _unstored(counts: Mapping[str, Counts]) -> Mapping[str, Counts]:
    return counts


async def _least(work: Callable[[], Awaitable[object]], updates: int) -> float:
    spent = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        await work()
        spent.append(time.process_time() - started)
    return min(spent) * 1e6 / updates
