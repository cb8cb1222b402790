"""The replica set of the embedded MongoDB: without one there are no transactions and no change streams."""

import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

_ALREADY_INITIALIZED = 23


def initiate(uri: str, seconds: float = 60) -> None:
    """Make the mongod at `uri` (with `directConnection=true`) the primary and only member of its replica set.

    May be called at every start; a set that was last seen on another port is moved to this one. Blocks until the member
    is writable, as a rule for 0.1 seconds: only where a program that never answers has taken the former port, mongod
    asks there for 30 seconds whether it is itself. Raises TimeoutError where it is not writable after `seconds`.
    """
    host, port = parse_uri(uri)["nodelist"][0]
    deadline = time.monotonic() + seconds
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri, serverSelectionTimeoutMS=int(seconds * 1000)) as client:
        reason = "it is not elected primary"
        configured = False
        while time.monotonic() < deadline:
            try:
                if not configured:
                    _configure(client, f"{host}:{port}")
                    configured = True
                if client.admin.command("hello").get("isWritablePrimary"):
                    return
            except PyMongoError as error:  # such as: the stored configuration is still being loaded
                reason = str(error)
            time.sleep(0.02)
    raise TimeoutError(f"MongoDB at {host}:{port} is not writable after {seconds:.0f} seconds: {reason}")


def _configure(client: MongoClient[dict[str, Any]], address: str) -> None:
    name = client.admin.command("getCmdLineOpts")["parsed"]["replication"]["replSet"]
    members = [{"_id": 0, "host": address}]
    try:
        client.admin.command("replSetInitiate", {"_id": name, "members": members})
    except OperationFailure as error:
        if error.code != _ALREADY_INITIALIZED:
            raise
        config = client.admin.command("replSetGetConfig")["config"]
        # Forced: a member that does not find itself in the stored configuration is REMOVED, and no primary agrees.
        config |= {"version": config["version"] + 1, "members": members}
        client.admin.command("replSetReconfig", config, force=True)
