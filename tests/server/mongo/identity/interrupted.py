"""A database whose writes stop at a point of the test's choice, as those of a server that is killed there."""

from collections.abc import Callable
from typing import Any, Final

from pymongo.errors import AutoReconnect

from server.mongo.client import Database

_WRITES: Final = frozenset(
    {"bulk_write", "delete_many", "delete_one", "insert_one", "replace_one", "update_many", "update_one"}
)


class Interruption:
    """Writes are counted from 1. That of the number `at`, and all after it, fail; that one is applied if `applied`."""

    def __init__(self) -> None:
        self._writes = 0
        self._at: int | None = None
        self._applied = False

    def begin(self, at: int, *, applied: bool) -> None:
        self._writes, self._at, self._applied = 0, at, applied

    def end(self) -> None:
        self._at = None

    async def write(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self._writes += 1
        if self._at is None or self._writes < self._at:
            return await method(*arguments, **options)
        if self._writes == self._at and self._applied:
            await method(*arguments, **options)
        raise AutoReconnect("interrupted")


class _Collection:
    def __init__(self, collection: Any, interruption: Interruption) -> None:
        self._collection = collection
        self._interruption = interruption

    def with_options(self, *arguments: Any, **options: Any) -> "_Collection":
        return _Collection(self._collection.with_options(*arguments, **options), self._interruption)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._collection, name)
        if name not in _WRITES:
            return attribute

        async def write(*arguments: Any, **options: Any) -> Any:
            return await self._interruption.write(attribute, *arguments, **options)

        return write


class _Database:
    def __init__(self, database: Database, interruption: Interruption) -> None:
        self._database = database
        self._interruption = interruption

    def get_collection(self, *arguments: Any, **options: Any) -> _Collection:
        return _Collection(self._database.get_collection(*arguments, **options), self._interruption)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def interrupted_by(interruption: Interruption, database: Database) -> Database:
    """The database, whose writes an interruption stops."""
    interrupted: Any = _Database(database, interruption)
    return interrupted  # type: ignore[no-any-return]  # It has what the stores need of one.
