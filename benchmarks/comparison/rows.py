"""The comparisons that `make bench` reports, and the ratios that some of them must reach."""

from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.contenders.clients import Eve, Parse, Plain, Userfold, UvicornGateway

Quantity = Literal["rate", "p50_ms", "p99_ms", "gateway_us", "userfold_us"]
"""A field of Sample."""

TITLES: Final = {contender.name: contender.title for contender in (Userfold, Plain, Parse, Eve, UvicornGateway)} | {
    "bare": "bare driver, 8 concurrent bulk_write of 100",
    "bare-1": "bare driver, one bulk_write of 100 at a time",
    "echo": "bare grpc.aio echo",
    "find": "bare driver, find_one on the index",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: the quantity of the samples under `key`, divided by that of the best samples under `peers`.

    The ratio of rates must be at least `target`, that of times at most.
    """

    measure: str
    key: str
    peers: tuple[str, ...]
    quantity: Quantity
    target: float | None = None
    against: str = ""
    """What the peer is called, if not by its title."""


_SINGLE = "`POST /v1/users`, 64 connections"
_BATCH = "`POST /v1/users/batch` of 100, 8 connections"
_STREAM = "gRPC `StreamUpdateUsers`, 1 stream"
_FLOODED = "`POST /v1/users`, 1 connection, median latency in another application's flood of batches"
_LOOK_UP = "gRPC `LookupUsers` of a token among many profiles"
_NEW_TOKEN = "an update of a user with 1,000 aliases, with a new token"  # noqa: S105 - A title.

# Inserting is less work than merging, but the only way in which Eve writes many profiles per request.
_EVE = "Eve, which inserts new users"

ROWS: Final = (
    Row(_SINGLE, "single/userfold", ("single/plain",), "rate", 3),
    Row(f"{_SINGLE}, CPU time of the gateway", "single/userfold", ("single/uvicorn",), "gateway_us"),
    # The reason for an HTTP server of our own: it must save at least 10 %.
    Row(f"{_SINGLE}, CPU time of gateway and server", "single/userfold", ("single/uvicorn",), "userfold_us", 0.9),
    Row(_BATCH, "batch/userfold", ("batch/bare-1",), "rate", 0.75),
    Row(_BATCH, "batch/userfold", ("batch/bare",), "rate"),
    Row(_BATCH, "batch/userfold", ("batch/plain",), "rate"),
    Row("gRPC `UpdateUser`, 64 callers", "rpc/userfold", ("rpc/echo",), "rate", 0.5),
    Row(_STREAM, "stream/userfold", ("batch/bare-1",), "rate", 0.6),
    Row(_STREAM, "stream/userfold", ("batch/bare",), "rate"),
    Row("`POST /v1/users`, 1 connection, median latency", "latency/userfold", ("latency/plain",), "p50_ms", 1.8),
    Row(_SINGLE, "single/userfold", ("single/parse", "single/eve"), "rate", 4),
    Row(_BATCH, "batch/userfold", ("batch/parse",), "rate", 4),
    Row(_BATCH, "batch/userfold", ("batch/eve",), "rate", against=_EVE),
    Row(f"{_SINGLE}, many profiles stored", "profiles/many", ("profiles/few",), "rate", 0.85, "1,000 stored"),
    Row(f"{_LOOK_UP}, 64 callers, 99th percentile", "lookup/userfold", ("lookup/find",), "p99_ms", 2),
    Row(f"{_LOOK_UP}, 64 callers, median latency", "lookup/userfold", ("lookup/find",), "p50_ms"),
    Row(f"{_LOOK_UP}, 1 caller, 99th percentile", "lookup-1/userfold", ("lookup-1/find",), "p99_ms"),
    Row("an update of a user with 1,000 aliases", "aliases/1000", ("aliases/10",), "p50_ms", 1.5, "with 10"),
    Row(_NEW_TOKEN, "aliases/1000-new", ("aliases/10",), "p50_ms", against="with 10 and a known token"),
    Row(_FLOODED, "flooded/userfold", ("latency/userfold",), "p50_ms", against="without the flood"),
    Row(_FLOODED, "flooded/userfold", ("flooded/plain",), "p50_ms", against="FastAPI + Motor in the same flood"),
)
