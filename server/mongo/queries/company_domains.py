"""Finds companies by their domains."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from server import limits
from server.model import COMPANIES
from server.mongo.client import BY_DOMAIN_KEY, Database
from server.mongo.failures import read_failures
from server.mongo.queries.cursors import ANSWER_SECONDS

_MILLISECONDS: Final = 1_000 * limits.QUERY_SECONDS


class MongoCompanyDomains:
    """The domains in the collection `companies` of a MongoDB database. One index serves all queries alone."""

    def __init__(self, database: Database) -> None:
        self._companies = database.get_collection(COMPANIES.collection)

    async def only_companies(self, application_id: str, domains: Sequence[str]) -> Mapping[str, str]:
        """As of CompanyDomains."""
        with read_failures():
            async with asyncio.timeout(limits.QUERY_SECONDS + ANSWER_SECONDS):
                if len(domains) == 1:
                    return await self._only_company(application_id, domains[0])
                return await self._group(application_id, domains)

    async def _only_company(self, application_id: str, domain: str) -> Mapping[str, str]:
        query = {"application_id": application_id, "domain_key": domain}
        # However many companies have the domain, two are enough to know.
        cursor = self._companies.find(query, projection={"_id": 1}, max_time_ms=_MILLISECONDS).hint(
            [(key, 1) for key in BY_DOMAIN_KEY]
        )
        found = await cursor.limit(2).to_list(2)
        return {domain: found[0]["_id"]} if len(found) == 1 else {}

    async def _group(self, application_id: str, domains: Sequence[str]) -> Mapping[str, str]:
        pipeline: list[dict[str, object]] = [
            {"$match": {"application_id": application_id, "domain_key": {"$in": list(domains)}}},
            {"$group": {"_id": "$domain_key", "companies": {"$sum": 1}, "first": {"$min": "$_id"}}},
            {"$match": {"companies": 1}},
        ]
        hint = dict.fromkeys(BY_DOMAIN_KEY, 1)
        cursor = self._companies.aggregate(pipeline, maxTimeMS=_MILLISECONDS, hint=hint)
        return {document["_id"]: document["first"] async for document in cursor}
