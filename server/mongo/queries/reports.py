"""Reports of campaigns. A report of very many users is read in two parts at once."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from bson import Timestamp, decode
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from server import limits
from server.model import CampaignGroup, CampaignReport
from server.mongo.client import BY_CREATED_TIME, Database
from server.mongo.failures import read_failures
from server.mongo.queries.cursors import ANSWER_SECONDS, read_documents
from server.mongo.queries.indexes import is_served_in_parts
from server.mongo.queries.report_pipelines import (
    Pipeline,
    group_from_document,
    key_of_group,
    part_pipelines,
    report_pipeline,
    sample_from_document,
    sample_pipeline,
)
from server.query.conditions import StoredPath
from server.users.report_campaigns import GroupPart, Report, merge_parts

_SLICE_GROUPS: Final = 500
"""Groups that are prepared for merging in one turn of the event loop."""


class CampaignReports:
    """Reads reports from the collection `profiles` of a MongoDB database.

    MongoDB uses one core for a pipeline. So one large report at a time is read in two parts, of the same snapshot, and
    the server merges their groups.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        profiles = database.get_collection("profiles")
        self._options: CodecOptions[Any] = profiles.codec_options
        self._raw = profiles.with_options(self._options.with_options(document_class=RawBSONDocument))
        self._is_reading_parts = False

    async def report(self, report: Report, declared: AbstractSet[StoredPath]) -> CampaignReport:
        """The report. `declared` are the paths of the application whose indexes are ready.

        Raises QueryTooSlow or DatabaseUnavailable.
        """
        deadline = asyncio.get_running_loop().time() + limits.REPORT_SECONDS
        with read_failures():
            async with asyncio.timeout(limits.REPORT_SECONDS + ANSWER_SECONDS):
                if not self._is_reading_parts and is_served_in_parts(report.query, declared):
                    self._is_reading_parts = True
                    try:
                        parts = await self._parts(report, deadline)
                    finally:
                        self._is_reading_parts = False
                    if parts is not None:
                        return merge_parts(parts, report.limit)
                return await self._whole(report, deadline)

    async def _whole(self, report: Report, deadline: float) -> CampaignReport:
        async with await self._database.client.start_session(snapshot=True) as session:
            cursor = self._raw.aggregate(
                report_pipeline(report), session=session, allowDiskUse=True, maxTimeMS=_milliseconds_until(deadline)
            )
            read, has_more = await read_documents(cursor, report.limit + 1, seconds=limits.REPORT_SECONDS)
        found = [_FetchedGroup(document, self._options, report.names) for document in read]
        return CampaignReport(found[1:], has_more, found[0] if found else None)

    async def _parts(self, report: Report, deadline: float) -> Sequence[GroupPart] | None:
        """The groups of both parts of a report, or None if it must be read as a whole."""
        snapshot = await self._snapshot_for_parts(report, deadline)
        if snapshot is None:
            return None
        pipelines = part_pipelines(report)
        read = await asyncio.gather(*(self._part(pipeline, snapshot, deadline) for pipeline in pipelines))
        parts = []
        for documents, has_more in read:
            if has_more:
                return None
            for index, document in enumerate(documents):
                if index % _SLICE_GROUPS == 0:
                    await asyncio.sleep(0)
                fetched = _FetchedGroup(document, self._options, report.names)
                parts.append(GroupPart(key_of_group(document), document["users"], fetched))
        return parts

    async def _snapshot_for_parts(self, report: Report, deadline: float) -> Timestamp | None:
        """The time of the snapshot of both parts, or None if a report is not worth it, or has too many groups."""
        command = self._aggregate(sample_pipeline(report), {"level": "snapshot"}, deadline)
        try:
            result = await self._database.command(command | {"hint": "_id_"}, codec_options=self._options)
        except PyMongoError:
            # The driver repeats the reading of the whole, unlike this command.
            return None
        cursor = result["cursor"]
        is_of_parts = any(sample_from_document(document).is_of_parts for document in cursor["firstBatch"])
        return cursor["atClusterTime"] if is_of_parts else None

    async def _part(
        self, pipeline: Pipeline, snapshot: Timestamp, deadline: float
    ) -> tuple[Sequence[RawBSONDocument], bool]:
        concern = {"level": "snapshot", "atClusterTime": snapshot}
        command = self._aggregate(pipeline, concern, deadline) | {"hint": dict.fromkeys(BY_CREATED_TIME, 1)}
        cursor = await self._database.cursor_command(command, codec_options=self._raw.codec_options)
        return await read_documents(cursor, limits.REPORT_PART_GROUPS + 1, seconds=limits.REPORT_SECONDS)

    def _aggregate(self, pipeline: Pipeline, concern: dict[str, Any], deadline: float) -> dict[str, Any]:
        return {
            "aggregate": self._raw.name,
            "pipeline": pipeline,
            "cursor": {"batchSize": limits.REPORT_PART_GROUPS + 2},
            "allowDiskUse": True,
            "maxTimeMS": _milliseconds_until(deadline),
            # A session with a snapshot must not be used by two operations at once.
            "readConcern": concern,
        }


class _FetchedGroup:
    """A FetchedGroup over the bytes of a document."""

    def __init__(self, document: RawBSONDocument, options: CodecOptions[Any], names: Sequence[str]) -> None:
        self._raw = document.raw
        self._options = options
        self._names = names

    @property
    def size(self) -> int:
        return len(self._raw)

    def group(self) -> CampaignGroup:
        return group_from_document(self._names, decode(self._raw, self._options))


def _milliseconds_until(deadline: float) -> int:
    """The time that MongoDB may work, at least a millisecond: none would mean any time."""
    return max(1, int(1_000 * (deadline - asyncio.get_running_loop().time())))
