"""The commands that a query sends, and what MongoDB's `explain` returns of them."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from server.mongo.client import connect, open_database
from server.mongo.queries.profile_queries import MongoProfileQueries

_OF_DRIVER = frozenset({"lsid", "$db", "$clusterTime", "readConcern", "maxTimeMS"})


class Commands(CommandListener):
    """Records the commands that a client sends."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    @property
    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.commands]

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


async def explained(uri: str, name: str, ask: Callable[[MongoProfileQueries], Awaitable[object]]) -> Any:
    """The plan of the last query that a call sends to a database, with the numbers of its execution."""
    commands = Commands()
    client = connect(uri, event_listeners=[commands])
    opened = open_database(client, name)
    await ask(MongoProfileQueries(opened))
    query = next(each for each in reversed(commands.commands) if next(iter(each)) in ("find", "aggregate"))
    of_query = {name: value for name, value in query.items() if name not in _OF_DRIVER}
    plan = await opened.command("explain", of_query, verbosity="executionStats")
    client.close()
    return plan


def stages_of(plan: Any) -> Iterator[dict[str, Any]]:
    """Every stage of a plan, at any depth."""
    if isinstance(plan, dict):
        if "stage" in plan:
            yield plan
        for inner in plan.values():
            yield from stages_of(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from stages_of(inner)
