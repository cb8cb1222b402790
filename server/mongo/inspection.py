"""What MongoDB says about itself: facts for an operator, read without changing anything."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from server.errors import PathNotDeclarable
from server.model import COMPANIES, USERS
from server.mongo.client import INDEXES, PROFILE_VALIDATOR
from server.mongo.declared_indexes import index_options
from server.mongo.driver import options_for
from server.mongo.schema import KEY, SCHEMA
from server.query.declared_paths import declared_path, index_keys
from server.settings import InvalidSetting

Document: TypeAlias = Mapping[str, Any]

_SECONDS: Final = 3.0
"""How long a member is waited for."""

_NOT_ALLOWED: Final = frozenset({13, 8000})
_NO_SUCH_OPTION: Final = 72


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be read. `is_refused`: the user of the connection string may not see it."""

    why: str
    is_refused: bool = False


Fact: TypeAlias = Document | Unknown


@dataclass(frozen=True, slots=True)
class Member:
    """A member that the connection string names, and how it responds to `hello` on a connection of its own."""

    address: str
    hello: Fact


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is needed: whether there is one with its name, and whether that is another one."""

    name: str
    is_there: bool
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts. Those behind `hello` are empty where it is Unknown, as then there is no primary.

    `clock_seconds` is how far MongoDB's clock is ahead of that of this machine. `oplog` has `size` and `maxSize` in
    bytes, and `seconds` between its first and its last operation; `space` has `total` and `used` bytes.
    """

    options: Document
    members: Sequence[Member]
    hello: Fact
    build: Fact = Unknown("")
    status: Fact = Unknown("")
    config: Fact = Unknown("")
    engine: Fact = Unknown("")
    oplog: Fact = Unknown("")
    profiling: Fact = Unknown("")
    redaction: Fact = Unknown("")
    space: Fact = Unknown("")
    collection: Fact = Unknown("")
    companies: Fact = Unknown("")
    sharding: Fact = Unknown("")
    schema: Fact = Unknown("")
    clock_seconds: float = 0.0
    indexes: Sequence[Index] | Unknown = ()
    other_indexes: Sequence[str] = ()

    @property
    def has_validator(self) -> bool:
        """Whether the collections of profiles have the validator of this version, and MongoDB enforces it."""
        return _has_validator(self.collection) and _has_validator(self.companies)


def _has_validator(collection: Fact) -> bool:
    options = collection.get("options", {}) if not isinstance(collection, Unknown) else {}
    is_enforced = (options.get("validationLevel", "strict"), options.get("validationAction", "error"))
    return options.get("validator") == PROFILE_VALIDATOR and is_enforced == ("strict", "error")


def inspect(uri: str, database: str) -> Inspection:
    """The facts about the MongoDB at `uri`. Raises InvalidSetting for an invalid `uri`."""
    try:
        parsed = parse_uri(uri)
        members = [Member(f"{host}:{port}", _hello(uri, host, port)) for host, port in parsed["nodelist"]]
        client: MongoClient[dict[str, Any]] = MongoClient(
            uri, tz_aware=True, **_options(uri, serverSelectionTimeoutMS=int(1000 * _SECONDS))
        )
    except (ConfigurationError, ValueError, PyMongoError) as error:
        raise InvalidSetting(
            f"USERFOLD_MONGODB_URI is not a MongoDB connection string, or its host has no address ({_named(error)})"
        ) from None
    with client:
        return _Inspector(client, database).inspection(parsed["options"], members)


def _options(uri: str, **changed: object) -> Any:
    return options_for(uri, connectTimeoutMS=int(1000 * _SECONDS), socketTimeoutMS=int(1000 * _SECONDS), **changed)


def _hello(uri: str, host: str, port: int | None) -> Fact:
    """The response of one member, whatever its role. It needs no user."""
    parsed = parse_uri(uri)
    tls = {name: value for name, value in parsed["options"].items() if name.lower().startswith("tls")}
    limit = int(1000 * _SECONDS)
    client: MongoClient[dict[str, Any]]
    with MongoClient(
        host, port, directConnection=True, serverSelectionTimeoutMS=limit, connectTimeoutMS=limit, **tls
    ) as client:
        return _read(lambda: client.admin.command("hello"))


def _read(read: Callable[[], Document]) -> Fact:
    try:
        return read()
    except OperationFailure as error:
        return Unknown(_named(error), is_refused=error.code in _NOT_ALLOWED)
    except PyMongoError as error:
        return Unknown(_named(error))


def _named(error: Exception) -> str:
    """The name and the code of an error. Its message may hold a part of the connection string."""
    code = getattr(error, "code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__}, code {code}"


class _Inspector:
    """Reads the facts through one client."""

    def __init__(self, client: MongoClient[dict[str, Any]], database: str) -> None:
        self._client = client
        self._database = client[database]

    def inspection(self, options: Document, members: Sequence[Member]) -> Inspection:
        before = time.time()
        hello = _read(lambda: self._client.admin.command("hello"))
        if isinstance(hello, Unknown):
            return Inspection(options, members, hello)
        middle = (before + time.time()) / 2
        admin = self._client.admin
        indexes = self._indexes()
        return Inspection(
            options=options,
            members=members,
            hello=hello,
            build=_read(lambda: admin.command("buildInfo")),
            status=_read(lambda: admin.command("replSetGetStatus")),
            config=_read(lambda: admin.command("replSetGetConfig")["config"]),
            engine=_read(lambda: admin.command("serverStatus", repl=0, metrics=0, locks=0)["storageEngine"]),
            oplog=_read(self._oplog),
            profiling=_read(lambda: self._database.command("profile", -1)),
            redaction=_read(self._redaction),
            space=_read(self._space),
            collection=_read(lambda: self._collection(USERS.collection)),
            companies=_read(lambda: self._collection(COMPANIES.collection)),
            sharding=_read(self._sharding),
            schema=_read(lambda: self._database[SCHEMA].find_one(KEY) or {}),
            clock_seconds=hello["localTime"].timestamp() - middle,
            indexes=indexes[0],
            other_indexes=indexes[1],
        )

    def _oplog(self) -> Document:
        local = self._client["local"]
        entries = local["oplog.rs"]
        first, last = (entries.find_one(projection=["ts"], sort=[("$natural", order)]) for order in (1, -1))
        stats = local.command("collStats", "oplog.rs")
        seconds = last["ts"].time - first["ts"].time if first and last else 0
        # A standalone mongod has none.
        return {"seconds": seconds, "size": stats.get("size", 0), "maxSize": stats.get("maxSize", 0)}

    def _redaction(self) -> Document:
        try:
            return self._client.admin.command("getParameter", 1, redactClientLogData=1)
        except OperationFailure as error:
            if error.code != _NO_SUCH_OPTION:
                raise
            return {}  # Only MongoDB Enterprise has it.

    def _space(self) -> Document:
        stats = self._database.command("dbStats")
        return {"total": stats["fsTotalSize"], "used": stats["fsUsedSize"]}

    def _collection(self, name: str) -> Document:
        found = list(self._database.list_collections(filter={"name": name}))
        return dict(found[0]) if found else {}

    def _sharding(self) -> Document:
        return self._client["config"]["collections"].find_one({"_id": f"{self._database.name}.profiles"}) or {}

    def _indexes(self) -> tuple[Sequence[Index] | Unknown, Sequence[str]]:
        """The indexes that are needed, and the names of all others."""
        try:
            found = {
                collection: {each["name"]: dict(each) for each in self._database[collection].list_indexes()}
                for collection in {each.collection for each in INDEXES}
            }
            needed = [(each.collection, _names(each.keys), each.options) for each in INDEXES] + self._declared()
        except OperationFailure as error:
            return Unknown(_named(error), is_refused=error.code in _NOT_ALLOWED), ()
        except PyMongoError as error:
            return Unknown(_named(error)), ()
        indexes: list[Index] = []
        known = {"_id_", "_id_hashed"}
        for collection, keys, options in needed:
            name = options.get("name") or "_".join(f"{key}_1" for key in keys)
            known.add(name)
            there = found[collection].get(name)
            indexes.append(Index(name, there is not None, there is not None and not _is_same(there, keys, options)))
        return indexes, sorted(name for name in found["profiles"] if name not in known)

    def _declared(self) -> list[tuple[str, Sequence[str], Document]]:
        declared: list[tuple[str, Sequence[str], Document]] = []
        for application in self._database["applications"].find({"indexes.0": {"$exists": True}}, ["indexes"]):
            for each in application["indexes"]:
                # A path of a later version may be none of this one.
                with suppress(PathNotDeclarable):
                    path = declared_path(each["path"])
                    declared.append(("profiles", index_keys(path), index_options(application["_id"], path)))
        return declared


def _names(keys: Sequence[str | tuple[str, int]]) -> Sequence[str]:
    return [key if isinstance(key, str) else key[0] for key in keys]


def _is_same(found: Document, keys: Sequence[str], options: Document) -> bool:
    """Whether an index has these keys, in ascending order, and these options."""
    described = {name: value for name, value in found.items() if name not in ("v", "key", "name", "ns", "background")}
    wanted = {name: value for name, value in options.items() if name != "name"}
    return list(found["key"].items()) == [(key, 1) for key in keys] and described == wanted
