"""The comparisons that `make bench` reports, and the ratios that they must reach and should reach."""

from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.contenders.clients import (
    Eve,
    Parse,
    Plain,
    PlainBatcher,
    PlainPymongo,
    PlainSchema,
    Userfold,
    UserfoldCompanies,
    UvicornGateway,
)

Quantity = Literal["rate", "p50_ms", "p99_ms", "gateway_us", "userfold_us"]
"""A field of Sample."""

_CONTENDERS: Final = (
    Userfold,
    UserfoldCompanies,
    Plain,
    PlainSchema,
    PlainBatcher,
    PlainPymongo,
    Parse,
    Eve,
    UvicornGateway,
)
TITLES: Final = {contender.name: contender.title for contender in _CONTENDERS} | {
    "bare": "bare driver, 8 writers of 100 at once",
    "bare-1": "bare driver, one bulk_write of 100 at a time",
    "echo": "bare grpc.aio echo",
    "find": "bare driver, find_one on the index",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: the quantity of the samples under `key`, divided by the sum of those under `peers`.

    The ratio of rates must be at least `required`, and is meant to be `aim`; that of times at most. With `limit_ms`,
    the time itself must not be longer either.
    """

    measure: str
    key: str
    peers: tuple[str, ...]
    quantity: Quantity
    required: float | None = None
    aim: float | None = None
    against: str = ""
    """What the peer is called, if not by its title."""
    limit_ms: float | None = None


_SINGLE = "`POST /v1/users`, 64 connections"
_BATCH = "`POST /v1/users/batch` of 100, 8 connections"
_STREAM = "gRPC `StreamUpdateUsers`, 1 stream"
_LONE = "`POST /v1/users`, 1 connection, median latency"
_FLOODED = f"{_LONE} in another application's flood of batches"
_LOOK_UP = "gRPC `LookupUsers` of a token among many profiles"
_ALIASES = "an update of a user with 1,000 aliases"

_PERCENTILES: Final[tuple[tuple[str, Quantity], ...]] = (("median", "p50_ms"), ("99th percentile", "p99_ms"))

ROWS: Final = (
    Row(_SINGLE, "single/userfold", ("single/plain",), "rate", 4.0, 5.0),
    Row(_SINGLE, "single/userfold", ("single/plain_schema",), "rate"),
    Row(_SINGLE, "single/userfold", ("single/plain_batcher",), "rate"),
    Row(_SINGLE, "single/userfold", ("single/plain_pymongo",), "rate"),
    Row(_SINGLE, "single/userfold", ("single/parse",), "rate", 4),
    Row(_SINGLE, "single/userfold", ("single/eve",), "rate", 4),
    Row(_BATCH, "batch/userfold", ("batch/plain_schema",), "rate", 0.95, 1.2),
    Row(_BATCH, "batch/userfold", ("batch/bare",), "rate", 0.65, 0.85),
    Row(_BATCH, "batch/userfold", ("batch/bare-1",), "rate"),
    Row(_BATCH, "batch/userfold", ("batch/plain",), "rate"),
    Row(_BATCH, "batch/userfold", ("batch/plain_pymongo",), "rate"),
    Row(_BATCH, "batch/userfold", ("batch/parse",), "rate", 4),
    # Inserting is less work than merging, but the only way in which Eve writes many profiles per request.
    Row(_BATCH, "batch/userfold", ("batch/eve",), "rate", against="Eve, which inserts new users"),
    Row(
        "`POST /v1/companies`, 64 connections",
        "single/companies",
        ("single/userfold",),
        "rate",
        0.95,
        against="users",
    ),
    Row(
        "`POST /v1/companies/batch` of 100, 8 connections",
        "batch/companies",
        ("batch/userfold",),
        "rate",
        0.95,
        against="users",
    ),
    Row("gRPC `UpdateUser`, 64 callers", "rpc/userfold", ("rpc/echo",), "rate", 0.52, 0.6),
    Row(_STREAM, "stream/userfold", ("batch/bare",), "rate", 0.75, 0.9),
    Row(_STREAM, "stream/userfold", ("batch/bare-1",), "rate"),
    Row(_LONE, "latency/userfold", ("latency/plain",), "p50_ms", 1.15, 1.0),
    Row(_LONE, "latency/userfold", ("latency/plain_pymongo",), "p50_ms"),
    Row(
        f"{_LOOK_UP}, 1 caller, median latency",
        "lookup-1/userfold",
        ("lookup-1/find", "lookup-1/echo"),
        "p50_ms",
        1.6,
        1.3,
        against="find_one plus a bare echo",
    ),
    Row(f"{_LOOK_UP}, 64 callers, median latency", "lookup/userfold", ("lookup/find",), "p50_ms"),
    Row(f"{_LOOK_UP}, 64 callers, 99th percentile", "lookup/userfold", ("lookup/find",), "p99_ms", 2),
    Row(_FLOODED, "flooded/userfold", ("latency/userfold",), "p50_ms", 6, 3, against="without the flood"),
    Row(_FLOODED, "flooded/userfold", ("flooded/plain",), "p50_ms", against="FastAPI + Motor in the same flood"),
    Row(
        f"{_ALIASES}, with a new token",
        "aliases/1000-new",
        ("aliases/10",),
        "p50_ms",
        1.3,
        1.1,
        against="with 10 and a known token",
    ),
    Row(f"{_ALIASES}, with a known token", "aliases/1000", ("aliases/10",), "p50_ms", 1.5, against="with 10"),
    Row(
        f"{_SINGLE}, many profiles stored",
        "profiles/many",
        ("profiles/few",),
        "rate",
        0.92,
        0.97,
        against="1,000 stored",
    ),
    *(
        Row(
            f"{measure} with many profiles",
            f"reads-{key}/many",
            (f"reads-{key}/tenth",),
            "p50_ms",
            ratio,
            None,
            "a tenth",
            ms,
        )
        for measure, key, ratio, ms in (
            ("the number of all users", "count", 10, 500),
            ("a report of all campaigns", "report", 10, 5000),
            ("the first page by `modified_time desc`, declared,", "modified", 1.5, 100),
        )
    ),
    *(
        Row(
            f"suggestions for {text} with many profiles, {title}",
            f"reads-{key}/many",
            (f"reads-{key}/tenth",),
            quantity,
            2,
            None,
            "a tenth",
            100,
        )
        for text, key in (("one letter", "suggest-1"), ("three letters", "suggest-3"), ("a whole id", "suggest"))
        for title, quantity in _PERCENTILES
    ),
    Row(f"{_SINGLE}, CPU time of the gateway", "single/userfold", ("single/uvicorn",), "gateway_us"),
    # The reason for an HTTP server of our own: it must save at least 10 %.
    Row(f"{_SINGLE}, CPU time of gateway and server", "single/userfold", ("single/uvicorn",), "userfold_us", 0.9),
)
"""The first of each kind is the comparison that matters. A row is measured when all its samples are."""
