"""The indexes of declared paths, which MongoDB builds while the servers serve.

Each is an index of one application, so it costs next to nothing in the updates of another one. It holds the users who
have something at its path.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import structlog
from pymongo.errors import OperationFailure, PyMongoError

from server import limits
from server.errors import PathNotDeclarable
from server.mongo.client import NOT_THERE, Collection, Database, once_built
from server.query.conditions import StoredPath
from server.query.declared_paths import MODIFIED_TIME, declared_path, index_keys

_log = structlog.get_logger("userfold.server")

REFRESH_SECONDS: Final = 10.0
"""How often a server compares the declarations with the indexes that it knows."""

_Declaration = tuple[str, StoredPath, datetime]
"""The id of an application, a path, and the time of the declaration: a path may be withdrawn and declared again."""


class DeclaredIndexes:
    """The indexes that are ready. Builds those that are missing."""

    def __init__(self, database: Database) -> None:
        self._applications = database.get_collection("applications")
        self._profiles = database.get_collection("profiles")
        self._ready: frozenset[_Declaration] = frozenset()
        self._paths: Mapping[str, frozenset[StoredPath]] = {}

    def of(self, application_id: str) -> frozenset[StoredPath]:
        """The declared paths of an application whose indexes are ready."""
        return self._paths.get(application_id, frozenset())

    async def run(self) -> None:
        """Refresh repeatedly."""
        while True:
            try:
                await self.refresh()
            except PyMongoError as error:
                _log.warning("indexes waiting", error=type(error).__name__, code=getattr(error, "code", None))
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Build the indexes that are missing. Raises PyMongoError."""
        declared = await self._declared()
        self._set_ready(self._ready & declared)
        for declaration in sorted(declared - self._ready):
            application_id, path, _ = declaration
            options = index_options(application_id, path)
            # MongoDB returns when the index is ready, also one that another server builds.
            await self._profiles.create_index(index_keys(path), **options)
            if declaration in await self._declared():
                self._set_ready(self._ready | {declaration})
            else:
                await drop(self._profiles, options["name"])

    async def _declared(self) -> frozenset[_Declaration]:
        found = self._applications.find({"indexes.0": {"$exists": True}}, projection=["indexes"]).sort("_id", 1)
        declared: list[_Declaration] = []
        async for document in found:
            for each in document["indexes"]:
                # A path of a later version may be none of this one.
                with suppress(PathNotDeclarable):
                    declared.append((document["_id"], declared_path(each["path"]), each["declared_time"]))
        return frozenset(declared[: limits.DECLARED_PATHS_IN_ALL])

    def _set_ready(self, ready: frozenset[_Declaration]) -> None:
        self._ready = ready
        paths: dict[str, set[StoredPath]] = {}
        for application_id, path, _ in ready:
            paths.setdefault(application_id, set()).add(path)
        self._paths = {application_id: frozenset(each) for application_id, each in paths.items()}


async def drop(profiles: Collection, name: str) -> None:
    """Drop an index if there is one, as soon as MongoDB builds no other. Raises PyMongoError."""
    try:
        await once_built(lambda: profiles.drop_index(name))
    except OperationFailure as error:
        if error.code not in NOT_THERE:
            raise


def index_options(application_id: str, path: StoredPath) -> dict[str, Any]:
    """The name of the index of a declared path, and which profiles it holds."""
    digest = hashlib.sha256("\0".join(path).encode()).hexdigest()[:16]
    users: dict[str, Any] = {"application_id": application_id, "user_id": {"$exists": True}}
    if path != MODIFIED_TIME:
        # A list in the order of the modified time has no condition on it, and could not use the index.
        users[".".join(path)] = {"$exists": True}
    return {"name": f"declared_{application_id}_{digest}", "partialFilterExpression": users}
