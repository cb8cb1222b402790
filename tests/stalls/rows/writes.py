"""Expensive updates of one application, by every method."""

import gzip
from collections.abc import Callable
from functools import partial
from typing import Final

import orjson
from userfold.internal.v1 import user_update_service_pb2 as internal_pb
from userfold.v1.metadata_operation_pb2 import MetadataOperation
from userfold.v1.user_pb2 import UserUpdate

from tests.stalls.calls import INTERNAL, Call, Grpc, Http, Who
from tests.stalls.rows.payloads import (
    batch,
    chains,
    grpc_batch,
    in_struct,
    message,
    raw,
    renamed,
    row,
    stream,
    unary,
    user,
)
from tests.stalls.rows.row import BUSY, LATE, WRITE, Row, many

_BATCH_BYTES = 11_900_000
_MOZILLA = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 "


def _addresses(who: Who, number: int) -> Call:
    addresses = [f"{number}" * 20_000_000]
    request = internal_pb.BatchUpdateUsersRequest(users_json=[b'{"user_id":"u"}'], client_addresses=addresses)
    return Grpc("BatchUpdateUsers", who.writer, [request.SerializeToString()], service=INTERNAL)


def _long(name: str) -> Callable[[Who], Call]:
    return batch([{"user_id": "u", name: "1 " * 2_000_000}], packed=True)


def _agents(count: int) -> list[dict[str, object]]:
    return [user({}, n, user_agent_string=f"{n} {_MOZILLA * 80}"[:8192]) for n in range(count)]


def _agent_messages(count: int) -> list[UserUpdate]:
    return [UserUpdate(user_id=f"u{n}", user_agent_string=f"{n} {_MOZILLA * 80}"[:8192]) for n in range(count)]


def _unions(number: int) -> dict[str, object]:
    # Objects with two keys are the most expensive to compare.
    values = [{"b": n, "a": number} for n in range(100)]
    return user({}, number, metadata_operations=[{"path": [str(n)], "union": values} for n in range(33)])


_VALUES = {f"key{n}": n for n in range(800)}
_DOTS = 4_000_000

ROWS: Final = [
    row("dots", "a key of 4,000,000 dots, 4 KB gzipped", lambda: batch([user({"." * _DOTS: 1})], packed=True)),
    row("dots-12mb", "the same of 11,900,000", lambda: batch([user({"." * (_BATCH_BYTES - 99): 1})], packed=True)),
    row(
        "dots-many",
        "1,000 keys of 10,000 dots",
        lambda: batch([user({f"{n}{'.' * 10_000}": 1 for n in range(1000)})], packed=True),
    ),
    row("dots-rpc", "the key of 4,000,000 dots, as UpdateUser", lambda: unary(b'{"%s":1}' % (b"." * _DOTS))),
    row("dots-stream", "the same in a stream", lambda: stream([message(b'{"%s":1}' % (b"." * _DOTS))])),
    row("email", "an email of 1 MB of `a `", lambda: batch([user({"email": "a " * 500_000})], packed=True)),
    row("email-12mb", "the same of 11.8 MB", lambda: batch([user({"email": "a " * 5_900_000})], packed=True)),
    row("email-rpc", "an email of 4 MB, as UpdateUser", lambda: unary(b'{"email":"%s"}' % (b"a " * 2_000_000))),
    row(
        "email-many",
        "1,000 emails of 8,000 bytes",
        lambda: batch([user({"email": "a " * 4000}, n) for n in range(1000)], packed=True),
    ),
    row("arrays", "an array of 1,400,000 `[]`", lambda: batch([user({"a": [[]] * 1_400_000})], packed=True)),
    row("zeros", "an array of 500,000 zeros", lambda: batch([user({"a": [0] * 500_000})], packed=True)),
    row("zeros-single", "the same in `POST /v1/users`", lambda: raw(orjson.dumps(user({"a": [0] * 500_000})))),
    row("zeros-12mb", "an array of 5,900,000 zeros", lambda: batch([user({"a": [0] * 5_900_000})], packed=True)),
    row("zeros-struct", "500,000 zeros in a Struct", lambda: grpc_batch([in_struct({"a": [0] * 500_000})])),
    row(
        "zeros-stream",
        "8 updates with 500,000 zeros each, in a stream",
        lambda: stream(*[[message(b'{"a":[%s0]}' % (b"0," * 500_000), n)] for n in range(8)]),
    ),
    row(
        "objects",
        "an object of 1,000,000 keys",
        lambda: batch(
            b'[{"user_id":"u","metadata":{%s}}]' % b",".join(b'"%d":0' % n for n in range(1_000_000)), packed=True
        ),
    ),
    row("opened", "12 MB of `[`", lambda: batch(b"[" * _BATCH_BYTES, packed=True)),
    row(
        "digits",
        "a number of 4,000,000 digits",
        lambda: batch(b'[{"user_id":"u","metadata":{"a":%s}}]' % (b"9" * 4_000_000), packed=True),
    ),
    row(
        "control-characters",
        "12 MB of escaped control characters",
        lambda: batch([user({"a": "\x01" * 1_900_000})], packed=True),
    ),
    row(
        "not-a-number-each",
        "a batch of 1,000 users, each with a bare `NaN`",
        lambda: batch(
            b"[%s]"
            % b",".join(b'{"user_id":"u%d","metadata":{"a":NaN,"b":"%s"}}' % (n, b"x" * 10_000) for n in range(1000)),
            packed=True,
        ),
    ),
    row("nothing", "a batch of 5,900,000 zeros", lambda: batch([0] * 5_900_000, packed=True)),
    row("small-users", "a batch of 60,000 users", lambda: batch([{"user_id": str(n % 1000)} for n in range(60_000)])),
    row(
        "smallest-users",
        "a batch of 600,000 users",
        lambda: batch([{"user_id": str(n % 1000)} for n in range(600_000)], packed=True),
        # Items that could not be sent before the deadline are refused.
        may=(*WRITE, "504"),
    ),
    row(
        "unknown-fields",
        "a user of 900,000 unknown fields",
        lambda: batch(b'[{"user_id":"u",%s}]' % b",".join(b'"%d":0' % n for n in range(900_000)), packed=True),
    ),
    *[
        row(f"long-{name.replace('_', '-')}", f"a `{name}` of 4 MB", partial(_long, name))
        for name in ("user_id", "modified_time", "ip_address")
    ],
    row(
        "long-campaign",
        "a campaign of 8 MB",
        lambda: batch(
            [{"user_id": "u", "campaign": {"utm_source": "a" * 4_000_000, "referrer": "b" * 4_000_000}}], packed=True
        ),
    ),
    row("agents", "120 user agents of 8 KB in a batch", lambda: batch(_agents(120), packed=True)),
    row("agents-rpc", "120 of them, as BatchUpdateUsers", lambda: grpc_batch(_agent_messages(120))),
    row("agents-stream", "120 of them in a stream", lambda: stream(_agent_messages(120))),
    row(
        "tokens",
        "1,000 session tokens of 8 KB",
        lambda: batch([user({}, n, session_token=f"{n} {'t' * 8180}") for n in range(1000)], packed=True),
    ),
    row(
        "operations",
        "20 users with 33 unions of 100 objects each",
        lambda: batch([_unions(n) for n in range(20)], packed=True),
    ),
    row(
        "operations-empty",
        "a user with 1,000,000 operations `{}`",
        lambda: batch(b'[{"user_id":"u","metadata_operations":[%s{}]}]' % (b"{}," * 1_000_000), packed=True),
    ),
    row(
        "operations-rpc",
        "a user with 300,000 operations, as BatchUpdateUsers",
        lambda: grpc_batch([UserUpdate(user_id="u", metadata_operations=[MetadataOperation(path=["a"])] * 300_000)]),
    ),
    row(
        "valid",
        "a batch of 400 users with 800 values each, all valid",
        lambda: batch([user(_VALUES, n) for n in range(400)], packed=True),
    ),
    row(
        "valid-rpc",
        "the same, as BatchUpdateUsers",
        lambda: grpc_batch(message(orjson.dumps(_VALUES), n) for n in range(400)),
    ),
    row("valid-struct", "the same in Structs", lambda: grpc_batch(renamed(in_struct(_VALUES), n) for n in range(400))),
    row(
        "valid-stream", "the same in a stream", lambda: stream([message(orjson.dumps(_VALUES), n) for n in range(400)])
    ),
    row(
        "valid-four",
        "four such batches concurrently",
        lambda: batch([user(_VALUES, n) for n in range(400)], packed=True),
        4,
        4,
        (*WRITE, *BUSY, *LATE),
    ),
    row(
        "exact",
        "a batch of 400 users with 400 empty objects each",
        lambda: batch([user({f"k{k}": {} for k in range(400)}, n) for n in range(400)], packed=True),
        may=(*WRITE, *LATE),
    ),
    row("pipeline-large", "100 KB that become 68 MB", lambda: batch([user(chains(900, 17, 2000))])),
    row("pipeline-rpc", "35 KB that become 22 MB, as UpdateUser", lambda: unary(orjson.dumps(chains(300, 17, 2000)))),
    row(
        "pipelines-stream",
        "50 times 4 KB that become 1 MB, in a stream",
        lambda: stream([message(orjson.dumps(chains(50, 10, 1000)), n) for n in range(50)]),
    ),
    row(
        "invalid",
        "a batch of 300 invalid users, ten times",
        lambda: batch([{"user_id": "", "metadata": {"email": []}}] * 300),
        10,
    ),
    row(
        "invalid-stream",
        "4,000 invalid updates in a stream",
        lambda: stream(*[[UserUpdate(session_token="t")] * 1000] * 4),
    ),
    Row("addresses", "20 MB of client_addresses, each time others", many(_addresses, 6)),
    row(
        "bomb",
        "200 MB of blanks in 200 KB of gzip, 5 times",
        lambda: (
            lambda who: Http(
                "POST", "/v1/users/batch", who.writer, gzip.compress(b" " * 200_000_000), ["content-encoding: gzip"]
            )
        ),
        5,
    ),
]
