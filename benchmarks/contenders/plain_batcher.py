"""What a good team would add to the plain application next: single updates are gathered into bulk writes."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

_MAX_GROUP = 100


class Batcher:
    """Gathers updates: those that arrive during one `bulk_write` are sent with the next."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._waiting: list[tuple[UpdateOne, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def update_one(self, criteria: Mapping[str, Any], update: Mapping[str, Any], *, upsert: bool) -> None:
        """Return once the update is acknowledged. Raises what MongoDB says against this update alone."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((UpdateOne(criteria, update, upsert=upsert), done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_MAX_GROUP], self._waiting[_MAX_GROUP:]
            failed: Mapping[int, Exception] = {}
            try:
                await self._collection.bulk_write([update for update, _ in group], ordered=False)
            except BulkWriteError as error:
                if error.details["writeConcernErrors"]:
                    failed = dict.fromkeys(range(len(group)), error)
                else:
                    failed = {each["index"]: error for each in error.details["writeErrors"]}
            except Exception as error:
                failed = dict.fromkeys(range(len(group)), error)
            for index, (_, done) in enumerate(group):
                if done.done():  # Its request was cancelled.
                    continue
                if index in failed:
                    done.set_exception(failed[index])
                else:
                    done.set_result(None)
