"""What a server knows of its MongoDB, without any right beyond its own."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final

from pymongo import timeout
from pymongo.errors import PyMongoError

from server.model import DatabaseFacts, Member
from server.mongo.client import Database
from server.mongo.schema import stored_version

KEPT_SECONDS: Final = 10.0
"""How long what MongoDB was asked is used."""

_SECONDS: Final = 1.0
"""How long it may take to ask. What was known before is then used."""

_STATES: Final = {
    "RSPrimary": "primary",
    "RSSecondary": "secondary",
    "RSArbiter": "arbiter",
    "Mongos": "router",
    "LoadBalancer": "router",
    "Unknown": "unreachable",
}
"""The states of members by the driver's types of servers. All others serve nothing now."""


class MongoStatus:
    """The state of the MongoDB of a database. `clock` returns seconds from any starting point.

    The driver learns the states of members, and their latest writes, from heartbeats each second. So no command is
    sent for them, and none that needs a right.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._version = ""
        self._schema_version = 0
        self._asked: float | None = None
        self._asking = asyncio.Lock()

    async def facts(self) -> DatabaseFacts:
        """What is known now. Takes a second at most."""
        async with self._asking:
            if self._asked is None or self._clock() - self._asked > KEPT_SECONDS:
                await self._ask()
                self._asked = self._clock()
        # Motor's type says that it is a function.
        topology: Any = self._database.client.topology_description
        return DatabaseFacts(self._version, topology.replica_set_name or "", members_of(topology), self._schema_version)

    async def _ask(self) -> None:
        with suppress(PyMongoError, TimeoutError), timeout(_SECONDS):
            async with asyncio.timeout(_SECONDS):
                self._version = (await self._database.command("buildInfo"))["version"]
                self._schema_version = await stored_version(self._database)


def members_of(topology: Any) -> Sequence[Member]:
    """The members in a description of the driver, in the order of their addresses."""
    servers = [server for _, server in sorted(topology.server_descriptions().items())]
    primary = next((server for server in servers if server.server_type_name == "RSPrimary"), None)
    return [
        Member(_name(server.address[0]), _STATES.get(server.server_type_name, "other"), _lag(server, primary))
        for server in servers
    ]


def _lag(server: Any, primary: Any) -> float | None:
    """By how much the latest write of a secondary is older than that of the primary, each as of its last heartbeat."""
    if primary is None or server.server_type_name != "RSSecondary":
        return None
    written, expected = server.last_write_date, primary.last_write_date
    if written is None or expected is None:
        return None
    lag: float = expected - written + server.last_update_time - primary.last_update_time
    return max(0.0, lag)


def _name(host: str) -> str:
    """A host without its domain: it is recognised, and does not say where to connect to."""
    with suppress(ValueError):
        ip_address(host)
        return ""
    return host.partition(".")[0]
