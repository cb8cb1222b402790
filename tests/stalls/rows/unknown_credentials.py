"""Expensive inputs without a credential or with an unknown one, and expensive headers of a proxy."""

import gzip
from collections.abc import Callable
from functools import partial
from typing import Final

import orjson
from userfold.v1 import user_service_pb2 as pb

from tests.stalls.calls import Call, Grpc, Http, Who
from tests.stalls.rows.payloads import message, row, user
from tests.stalls.rows.row import UNAUTHENTICATED


def _unknown(key: str | None) -> Callable[[Who], Call]:
    body = gzip.compress(orjson.dumps([user({"a": [0] * 5_900_000})]), 6)
    credential = {} if key is None else {"x-moesif-application-id": key}
    return lambda who: Http("POST", "/v1/users/batch", credential, body, ["content-encoding: gzip"])


def _unknown_over_grpc(credential: dict[str, str]) -> Callable[[Who], Call]:
    update = message(b'{"a":[%s0]}' % (b"0," * 5_900_000))
    request = pb.BatchUpdateUsersRequest(users=[update]).SerializeToString()
    return lambda who: Grpc("BatchUpdateUsers", credential, [request])


def _unknown_stream() -> Callable[[Who], Call]:
    update = message(b'{"a":[%s0]}' % (b"0," * 5_900_000))
    request = pb.StreamUpdateUsersRequest(users=[update]).SerializeToString()
    return lambda who: Grpc("StreamUpdateUsers", {"x-moesif-application-id": "unknown"}, [request], is_stream=True)


def _forwarded(header: str) -> Callable[[Who], Call]:
    return lambda who: Http("POST", "/v1/users", who.writer, b'{"user_id":"u"}', [header])


ROWS: Final = [
    row(
        "no-credential", "28 KB of gzip without a credential, 20 times", lambda: _unknown(None), 20, 2, UNAUTHENTICATED
    ),
    row("unknown-credential", "the same with an unknown key", lambda: _unknown("unknown"), 20, 2, UNAUTHENTICATED),
    row(
        "unknown-rpc",
        "12 MB with an unknown key, as BatchUpdateUsers",
        lambda: _unknown_over_grpc({"x-moesif-application-id": "unknown"}),
        4,
        2,
        UNAUTHENTICATED,
    ),
    row("no-credential-rpc", "the same without a credential", lambda: _unknown_over_grpc({}), 4, 2, UNAUTHENTICATED),
    row("unknown-stream", "the same in a stream of an unknown key", _unknown_stream, 4, 2, (*UNAUTHENTICATED, "ended")),
    row(
        "no-credential-single",
        "1 MB of `[` without a credential, 20 times",
        lambda: lambda who: Http("POST", "/v1/users", {}, b"[" * 1_000_000),
        20,
        4,
        UNAUTHENTICATED,
    ),
    *[
        row(name, what, partial(_forwarded, value), 3)
        for name, what, value in (
            ("forwarded", "`Forwarded: aaa...` of 20,000 bytes", f"forwarded: {'a' * 20_000}, for=192.0.2.1"),
            ("forwarded-quotes", "a Forwarded of 10,000 open quotes", "forwarded: " + 'for="\\' * 8000),
            ("forwarded-empty", "a Forwarded of 60,000 commas", "forwarded: " + "," * 60_000),
            ("forwarded-blanks", "a Forwarded of 60,000 blanks", "forwarded: for=" + "\t " * 30_000 + "x"),
            ("forwarded-for", "an X-Forwarded-For of 60,000 bytes", "x-forwarded-for: " + "1.1.1.1," * 7500),
        )
    ],
    row(
        "forwarded-nobody",
        "the first without a credential",
        lambda: lambda who: Http("POST", "/v1/users", {}, b"{}", [f"forwarded: {'a' * 20_000}, for=192.0.2.1"]),
        3,
        1,
        UNAUTHENTICATED,
    ),
]
