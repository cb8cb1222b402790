"""What runs at a connection string: Userfold needs a replica set, also of one member, or a sharded cluster.

A MongoDB that runs alone acknowledges writes which a replica set, once it is initiated from another member, does not
have, and it repeats no write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

_PROBE_MS: Final = 2_000

_STANDALONE: Final = (
    "the MongoDB at {address} is no replica set, which Userfold needs, if only of one member: start mongod"
    " with `--replSet rs0` (replication.replSetName), then run once:"
    " mongosh 'mongodb://{address}' --eval 'rs.initiate()'"
)
_NOT_INITIATED: Final = (
    "the replica set of the MongoDB at {address} is not initiated: run once, on one of its members: mongosh"
    " 'mongodb://{address}' --eval 'rs.initiate()'"
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What answers at a connection string.

    `fault` says why it cannot be used and what to do, in ASCII; it is empty where it can be used, and where nothing
    answers. `is_usable`: something answers, and it can be used. `replica_set` is the name of the set, if it is one.
    With it as the option `replicaSet`, the driver never selects a member that was restarted outside of the set.
    """

    fault: str = ""
    replica_set: str | None = None
    is_usable: bool = False

    @property
    def options(self) -> Mapping[str, str]:
        """The options for the driver."""
        return {"replicaSet": self.replica_set} if self.replica_set else {}


def find_deployment(uri: str) -> Deployment:
    """Ask the members that a connection string names, without its credentials. Takes 2 seconds for each that is silent.

    A string that cannot be read, or whose members are in DNS, is not examined.
    """
    try:
        parsed = parse_uri(uri, warn=False) if uri.startswith("mongodb://") else {}
    except (PyMongoError, ValueError):
        return Deployment()
    fault = ""
    for host, port, hello in _answers(parsed):
        if "setName" in hello:
            return Deployment(replica_set=hello["setName"], is_usable=True)
        if hello.get("msg") == "isdbgrid" or "serviceId" in hello:
            return Deployment(is_usable=True)
        text = _NOT_INITIATED if hello.get("isreplicaset") else _STANDALONE
        fault = fault or text.format(address=f"{host}:{port}")
    return Deployment(fault)


def _answers(parsed: Mapping[str, Any]) -> Iterator[tuple[str, int | None, Mapping[str, Any]]]:
    tls = {name: value for name, value in parsed.get("options", {}).items() if name.lower().startswith(("tls", "ssl"))}
    for host, port in parsed.get("nodelist", ()):
        try:
            client: MongoClient[dict[str, Any]] = MongoClient(
                host, port, directConnection=True, serverSelectionTimeoutMS=_PROBE_MS, connectTimeoutMS=_PROBE_MS, **tls
            )
            with client:
                yield host, port, client.admin.command("hello")
        except PyMongoError:
            continue
