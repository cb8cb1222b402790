"""Many concurrent calls, connections and streams, and groups with an expensive member."""

from typing import Final
from urllib.parse import quote

import orjson
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate

from tests.stalls.calls import INTERNAL, Attack, Call, Grpc, Http, Who
from tests.stalls.rows.payloads import batch, chains, grpc_batch, message, stream, user
from tests.stalls.rows.row import BUSY, READ, UNAUTHENTICATED, WRITE, Row, many, one

_SMALL = b'{"user_id":"u"}'
_UPDATE = pb.UpdateUserRequest(user=UserUpdate(user_id="u")).SerializeToString()


def _batch_stream(who: Who) -> Call:
    return Grpc("StreamBatchUpdateUsers", who.writer, [], is_stream=True, idle=1.5, service=INTERNAL)


def _made_up(number: int) -> dict[str, str]:
    return {"x-moesif-application-id": f"made up {number} {'x' * 40}"}


def _poisoned(who: Who) -> Attack:
    """The most expensive updates of every method, three at a time."""
    texts = [
        orjson.dumps(chains(*shape)) for shape in ((50, 10, 1000), (200, 14, 2000), (300, 17, 2000), (900, 17, 2000))
    ]
    users = [message(text, number) for number, text in enumerate(texts * 5)]
    calls: list[Call] = [
        grpc_batch(users)(who),
        batch([user(orjson.loads(text), number) for number, text in enumerate(texts * 5)], packed=True)(who),
        stream(users)(who),
        batch([user({"a": [[]] * 1_400_000})], packed=True)(who),
        batch([user({f"k{k}": "x" * 1000 for k in range(900)}, number) for number in range(10)], packed=True)(who),
    ]
    return Attack(calls, 3)


def _long(name: str, target: str) -> Row:
    what = f"a {name.partition('-')[0]} of 60,000 bytes, 4 times"
    return Row(f"long-{name}", what, one(lambda who: Http("GET", target, who.reader), 4), ("400", "404", "414", "431"))


ROWS: Final = [
    Row(
        "unknown-1000",
        "1,000 concurrent unknown keys",
        many(lambda who, n: Http("POST", "/v1/users", _made_up(n), _SMALL), 1000, 1000),
        (*UNAUTHENTICATED, *BUSY),
    ),
    Row(
        "unknown-1000-rpc",
        "1,000 concurrent unknown keys, over gRPC",
        many(lambda who, n: Grpc("UpdateUser", _made_up(n), [_UPDATE]), 1000, 1000),
        (*UNAUTHENTICATED, *BUSY, "refused"),
    ),
    Row(
        "unknown-400-batches",
        "400 connections, each with a batch of a made-up key",
        many(lambda who, n: Http("POST", "/v1/users/batch", _made_up(n), b"[%s]" % _SMALL), 1200, 400),
        (*UNAUTHENTICATED, *BUSY),
    ),
    Row(
        "unknown-400-reads",
        "400 connections, each with a read of a made-up token",
        many(lambda who, n: Http("GET", "/v1/users/u", {"authorization": f"Bearer made up {n}"}), 1200, 400),
        (*UNAUTHENTICATED, *BUSY),
    ),
    Row(
        "no-credential-2000",
        "2,000 requests without a credential, 100 concurrently",
        one(lambda who: Http("POST", "/v1/users", {}, _SMALL), 2000, 100),
        UNAUTHENTICATED,
    ),
    Row(
        "streams-idle",
        "200 idle StreamUpdateUsers of one key",
        one(lambda who: Grpc("StreamUpdateUsers", who.writer, [], is_stream=True, idle=1.5), 200, 200),
        (*WRITE, *BUSY, "refused"),
    ),
    Row(
        "batch-streams-idle",
        "1,000 idle StreamBatchUpdateUsers of one key",
        one(_batch_stream, 1000, 1000),
        (*WRITE, *BUSY, "refused"),
    ),
    Row(
        "streams-unknown",
        "200 idle streams of unknown keys",
        many(lambda who, n: Grpc("StreamUpdateUsers", _made_up(n), [], is_stream=True, idle=1.5), 200, 200),
        (*UNAUTHENTICATED, *BUSY, "refused"),
    ),
    Row(
        "poisoned",
        "10,000 updates of B, while A sends updates that grow a thousandfold",
        _poisoned,
        (*WRITE, *BUSY),
        flood=10_000,
    ),
    _long("filter", f"/v1/users?filter={quote('metadata.a = ' * 3000)}"),
    _long("filter-of-parentheses", f"/v1/users?filter={'(' * 60_000}"),
    _long("token", f"/v1/users?page_token={'a' * 60_000}"),
    _long("fields", f"/v1/users?fields={'metadata.a,' * 5400}"),
    _long("order", f"/v1/users?order_by={'a,' * 30_000}"),
    _long("id", f"/v1/users/{'%41' * 20_000}"),
    Row(
        "filter-worst",
        "a filter of 50 comparisons within 4 KB, 8 concurrently",
        one(
            lambda who: Http(
                "GET", f"/v1/users?filter={quote(' AND '.join(f'metadata.a{n} != {n}' for n in range(50)))}", who.reader
            ),
            16,
            8,
        ),
        (*READ, *BUSY),
        "public numbers",
    ),
    Row(
        "others",
        "12 MB of events, 4 times",
        one(lambda who: Http("POST", "/v1/events/batch", who.writer, b"[%s0]" % (b"0," * 5_900_000)), 4, 2),
        ("201",),
    ),
    Row(
        "others-nobody",
        "12 MB of events without a credential, 4 times",
        one(lambda who: Http("POST", "/v1/events/batch", {}, b"[%s0]" % (b"0," * 5_900_000)), 4, 2),
        UNAUTHENTICATED,
    ),
]
