"""Reads the documents of a cursor, up to a number and a size."""

import asyncio
from collections.abc import Sequence
from typing import Final

from bson.raw_bson import RawBSONDocument

from server import limits
from server.mongo.client import Cursor
from server.mongo.failures import read_failures

ANSWER_SECONDS: Final = 2.0
"""How long a response may take beyond the time that MongoDB may work on a query."""


async def read_documents(
    cursor: Cursor, limit: int, max_bytes: int | None = None, seconds: float | None = None
) -> tuple[Sequence[RawBSONDocument], bool]:
    """The first documents, up to `limit` and `max_bytes`, and whether there are more.

    `seconds` is how long MongoDB may work on the query. The defaults are those of a list.
    """
    documents: list[RawBSONDocument] = []
    size, max_bytes = 0, max_bytes or limits.ANSWER_BYTES
    with read_failures():
        # Not the driver's timeout, which would also be MongoDB's: MongoDB must report that its time has expired.
        async with asyncio.timeout((seconds or limits.QUERY_SECONDS) + ANSWER_SECONDS):
            async for document in cursor.batch_size(limit + 1):
                size += len(document.raw)
                if len(documents) == limit or (documents and size > max_bytes):
                    await cursor.close()
                    return documents, True
                documents.append(document)
    return documents, False
