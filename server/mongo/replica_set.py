"""The replica set of the embedded MongoDB: transactions and snapshots need one."""

import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

_ALREADY_INITIALIZED = 23


def initiate(uri: str, seconds: float = 60) -> None:
    """Make the mongod at `uri` (with `directConnection=true`) the primary and only member of its replica set.

    May be called at every start. A set that ran on another port is moved to this one. Blocks until the member is
    writable. If another program that never responds listens on the former port, mongod waits for it for 30 seconds.
    Raises TimeoutError if the member is not writable after `seconds`.
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
            except PyMongoError as error:  # For instance, the stored configuration is being loaded.
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
        # Forced: a member that is not in the stored configuration is in state REMOVED, and there is no primary.
        config |= {"version": config["version"] + 1, "members": members}
        client.admin.command("replSetReconfig", config, force=True)
