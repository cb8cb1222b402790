"""Reads and updates of dense profiles, some stored before the limits existed, some stored by updates."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from google.protobuf.message import Message
from userfold.v1 import user_service_pb2 as pb

from tests.stalls.calls import Call, Grpc, Http, Who
from tests.stalls.rows.payloads import COMPANY, TOKEN, USERS, batch, grpc_batch, message, row, stream, user
from tests.stalls.rows.row import BUSY, LATE, READ, WRITE, Row, one

_IDS = [f"d{number}" for number in range(USERS)]


def _get(target: str) -> Callable[[Who], Call]:
    return lambda who: Http("GET", target, who.reader)


def _post(target: str, body: object) -> Callable[[Who], Call]:
    return lambda who: Http("POST", target, who.reader, orjson.dumps(body))


def _rpc(method: str, request: Message) -> Callable[[Who], Call]:
    sent = request.SerializeToString()
    return lambda who: Grpc(method, who.reader, [sent])


_READS: Final[dict[str, tuple[str, Callable[[Who], Call]]]] = {
    "get": ("GET of a user", _get("/v1/users/d7")),
    "get-rpc": ("GetUser", _rpc("GetUser", pb.GetUserRequest(user_id="d7"))),
    "list": ("GET of a list", _get("/v1/users?page_size=1000")),
    "list-rpc": ("ListUsers", _rpc("ListUsers", pb.ListUsersRequest(page_size=1000))),
    "masked": ("a list of one field", _get("/v1/users?page_size=1000&fields=metadata.a")),
    "filtered": ("a list by a filter on metadata", _get("/v1/users?filter=metadata.a:7%20OR%20metadata.k1:7")),
    "company": ("a look-up by company", _post("/v1/users:lookup", {"company_id": COMPANY, "page_size": 1000})),
    "token": ("a look-up by token", _post("/v1/users:lookup", {"session_token": TOKEN, "page_size": 1000})),
    "token-rpc": (
        "LookupUsers by token",
        _rpc("LookupUsers", pb.LookupUsersRequest(session_token=TOKEN, page_size=1000)),
    ),
    "gets": ("a batch of reads", _post("/v1/users:batchGet", {"user_ids": _IDS})),
    "gets-rpc": ("BatchGetUsers", _rpc("BatchGetUsers", pb.BatchGetUsersRequest(user_ids=_IDS))),
    "gets-masked": (
        "a batch of reads of one field",
        _post("/v1/users:batchGet", {"user_ids": _IDS, "fields": ["metadata.a"]}),
    ),
    "export": ("an export of one", _get("/v1/users/d7:export")),
    "exports": ("an export of all", _post("/v1/users:batchExport", {"user_ids": _IDS})),
    "exports-rpc": ("BatchExportUsers", _rpc("BatchExportUsers", pb.BatchExportUsersRequest(user_ids=_IDS))),
    "count": ("a count by a filter", _get("/v1/users:count?filter=metadata.a:7")),
    "catalogue": ("a catalogue of metadata", _get("/v1/metadata:catalogue")),
    "report": ("a report", _get("/v1/campaigns:report?group_by=campaign.utm_source&value_path=metadata.a")),
}

_ASKED: Final[dict[str, Sequence[str]]] = {
    "nulls": list(_READS),
    "numbers": ("get", "list", "company"),
    "control characters": ("list", "company", "exports"),
    "paths": ("get", "list", "exports-rpc", "catalogue"),
    "public nulls": ("get", "list", "token-rpc", "exports"),
    "public numbers": ("list",),
    "public control characters": ("list", "exports"),
    "public paths": ("list-rpc", "catalogue"),
}


def _row(of: str, name: str) -> Row:
    what, call = _READS[name]
    return Row(f"{of.replace(' ', '-')}-{name}", f"{what}, of 34 profiles of {of}", one(call), READ, of)


def _exact(count: int) -> list[dict[str, Any]]:
    """Updates with an empty object, which need the exact form of a write: it reads and writes the whole profile."""
    return [user({"exact": {str(number): {}}}) | {"user_id": f"d{number % USERS}"} for number in range(count)]


def _exact_messages(count: int) -> list[Any]:
    updates = [message(b'{"exact":{"%d":{}}}' % number) for number in range(count)]
    for number, update in enumerate(updates):
        update.user_id = f"d{number % USERS}"
    return updates


def _conditional(count: int) -> list[dict[str, Any]]:
    """Updates with an etag, each of which reads and digests the whole profile."""
    return [update | {"etag": "another"} for update in _plain(count)]


def _preview(users: object) -> Callable[[Who], Call]:
    return _post("/v1/users/batch?validate_only=true", users)


def _plain(count: int) -> list[dict[str, Any]]:
    return [{"user_id": f"d{number % USERS}", "metadata": {"plain": number}} for number in range(count)]


_UPDATES: Final = [
    row(f"{of.replace(' ', '-')}-{name}", f"{what}, of 34 profiles of {of}", make, of=of)
    for of in ("nulls", "public nulls")
    for name, what, make in (
        ("exact", "a batch of 100 exact updates", lambda: batch(_exact(100))),
        ("exact-rpc", "the same, as BatchUpdateUsers", lambda: grpc_batch(_exact_messages(100))),
        ("exact-stream", "the same in a stream", lambda: stream(_exact_messages(100))),
        ("plain", "a batch of 1,000 plain updates", lambda: batch(_plain(1000))),
    )
]

ROWS: Final = [
    *(_row(of, name) for of, names in _ASKED.items() for name in names),
    *_UPDATES,
    *(
        row(f"{of.replace(' ', '-')}-{name}", f"{what}, of 34 profiles of {of}", make, may=may, of=of)
        for of in ("nulls", "public nulls")
        for name, what, make, may in (
            ("conditional", "a batch of 100 conditional updates", lambda: batch(_conditional(100)), (*WRITE, *LATE)),
            # The response would be too large, or take too long.
            ("dry-run", "a dry run of 100 exact updates", lambda: _preview(_exact(100)), (*READ, *BUSY, *LATE)),
        )
    ),
    Row("tokens-four", "four look-ups of a token that dense users share", one(_READS["token"][1], 4, 4), READ, "nulls"),
    Row(
        "pages-two",
        "two concurrent lists, of control characters",
        one(_READS["list"][1], 2, 2),
        READ,
        "control characters",
    ),
    Row(
        "lists-sixteen",
        "16 concurrent lists, of numbers",
        one(_READS["list"][1], 16, 16),
        (*READ, *BUSY),
        "public numbers",
    ),
    Row("gets-many", "60 reads of dense users, 8 concurrently", one(_READS["get"][1], 60, 8), READ, "public nulls"),
    Row("counts-sixteen", "16 concurrent counts", one(_READS["count"][1], 16, 16), (*READ, *BUSY), "nulls"),
    Row("reports-eight", "8 concurrent reports", one(_READS["report"][1], 8, 8), (*READ, *BUSY), "nulls"),
    Row(
        "erase",
        "the erasure of all dense users",
        one(_post("/v1/users:batchDelete", {"user_ids": _IDS, "suppress_days": 1})),
        READ,
        "numbers",
    ),
]
