"""The cost of a group of updates for MongoDB, by the size of the group."""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import Any, Final, TypeAlias

from pymongo import MongoClient, UpdateOne, WriteConcern

from benchmarks.environment.processes import cpu_seconds
from benchmarks.load.users import Load, update_of
from benchmarks.stack import Stack
from server.model import UserUpdate
from server.mongo.writes.update_document import dotted_update
from server.users.update import plan_update

SIZES: Final = (1, 8, 32, 100)
_RETRYABLE: Final = {"retryable writes": True, "without retryable writes": False}
_ROUNDS: Final = 3
_SECONDS: Final = 1.5

_Operation: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""A filter and an update document."""


def groups(stack: Stack) -> dict[str, list[list[float]]]:
    """Write groups of each size one after the other, with and without the driver's retryable writes.

    For each size, returns the milliseconds of a group, and MongoDB's CPU time in microseconds per update.
    """
    load = Load("costs-groups", 20_000)
    operations = cycle([_operation(user_id) for user_id in [*load.base, *load.ids]])
    costs: dict[str, list[list[float]]] = {}
    with ExitStack() as open_clients:
        clients = {
            title: open_clients.enter_context(MongoClient[dict[str, Any]](stack.uri, retryWrites=is_retryable))
            for title, is_retryable in _RETRYABLE.items()
        }
        for size in SIZES:
            rounds = [
                {title: _written(stack, client, operations, size) for title, client in clients.items()}
                for _ in range(_ROUNDS)
            ]
            for title in clients:
                milliseconds, microseconds = zip(*(of_round[title] for of_round in rounds), strict=True)
                medians = [statistics.median(milliseconds), statistics.median(microseconds)]
                costs.setdefault(title, []).append(medians)
    return costs


def _written(
    stack: Stack, client: MongoClient[dict[str, Any]], operations: Iterator[_Operation], size: int
) -> tuple[float, float]:
    """Write groups for a while: the milliseconds of a group, and MongoDB's microseconds per update."""
    database = client[stack.userfold.collection.database.name]
    profiles = database.get_collection("profiles", write_concern=WriteConcern(w="majority", j=True))
    latencies = []
    spent, deadline = cpu_seconds(stack.mongod_pid), time.perf_counter() + _SECONDS
    while (started := time.perf_counter()) < deadline:
        modified_time = datetime.now(UTC)
        group = list(islice(operations, size))
        for _, update in group:
            update["$set"]["modified_time"] = modified_time
        profiles.bulk_write([UpdateOne(*operation, upsert=True) for operation in group], ordered=False)
        latencies.append(time.perf_counter() - started)
    spent = cpu_seconds(stack.mongod_pid) - spent
    return statistics.median(latencies) * 1e3, spent / len(latencies) / size * 1e6


def _operation(user_id: str) -> _Operation:
    write = plan_update("costs", UserUpdate(**update_of(user_id)), time.time_ns()).write
    return {"_id": write.profile_id}, dotted_update(write)
