"""Encoded updates for every method: the parts of the rows."""

import gzip
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate

from tests.stalls.calls import Attack, Call, Grpc, Http, Who
from tests.stalls.rows.row import WRITE, Row, one

USERS: Final = 34
"""The number of profiles of each dense application: more than fit into a page of 32 MiB."""

TOKEN: Final = "shared by all dense users"
COMPANY: Final = "dense"


def batch(users: object, *, packed: bool = False) -> Callable[[Who], Call]:
    """`POST /v1/users/batch`."""
    return raw(users if isinstance(users, bytes) else orjson.dumps(users), "/v1/users/batch", packed=packed)


def raw(body: bytes, target: str = "/v1/users", *, packed: bool = False) -> Callable[[Who], Call]:
    """A POST with this body."""
    headers = ["content-encoding: gzip"] if packed else []
    sent = gzip.compress(body, 6) if packed else body
    return lambda who: Http("POST", target, who.writer, sent, headers)


def unary(metadata: bytes) -> Callable[[Who], Call]:
    """`UpdateUser`."""
    request = pb.UpdateUserRequest(user=UserUpdate(user_id="u", metadata_json=metadata)).SerializeToString()
    return lambda who: Grpc("UpdateUser", who.writer, [request])


def grpc_batch(updates: Iterable[UserUpdate], **more: Any) -> Callable[[Who], Call]:
    """`BatchUpdateUsers`."""
    request = pb.BatchUpdateUsersRequest(users=updates, **more).SerializeToString()
    return lambda who: Grpc("BatchUpdateUsers", who.writer, [request])


def stream(*messages: Sequence[UserUpdate]) -> Callable[[Who], Call]:
    """`StreamUpdateUsers`."""
    sent = [pb.StreamUpdateUsersRequest(users=each).SerializeToString() for each in messages]
    return lambda who: Grpc("StreamUpdateUsers", who.writer, sent, is_stream=True)


def user(metadata: object, number: int = 0, **fields: object) -> dict[str, object]:
    return {"user_id": f"u{number}", "metadata": metadata, **fields}


def message(metadata: bytes, number: int = 0) -> UserUpdate:
    return UserUpdate(user_id=f"u{number}", metadata_json=metadata)


def in_struct(metadata: dict[str, Any]) -> UserUpdate:
    update = UserUpdate(user_id="u")
    update.metadata.update(metadata)
    return update


def chains(count: int, levels: int, key: int) -> dict[str, Any]:
    """`count` chains of `levels` nested objects, below one key of `key` bytes.

    The empty object at the end of each needs the exact form of a write, in which every object repeats its path.
    """
    chain: dict[str, Any] = {}
    for _ in range(levels):
        chain = {"a": chain}
    return {"k" * key: {str(number): chain for number in range(count)}}


def _lazily(make: Callable[[], Callable[[Who], Call]], count: int, concurrency: int) -> Callable[[Who], Attack]:
    """Calls that are encoded only in the attacker's process, not where the table is imported."""

    def build(who: Who) -> Attack:
        return one(make(), count, concurrency)(who)

    return build


def row(
    name: str,
    what: str,
    make: Callable[[], Callable[[Who], Call]],
    count: int = 1,
    concurrency: int = 1,
    may: Sequence[str] = WRITE,
    of: str = "A",
) -> Row:
    return Row(name, what, _lazily(make, count, concurrency), may, of)


def renamed(update: UserUpdate, number: int) -> UserUpdate:
    copied = UserUpdate()
    copied.CopyFrom(update)
    copied.user_id = f"u{number}"
    return copied
