"""Dense profiles, some of which were stored before the limits existed: every read over HTTP and gRPC succeeds, ends
when its response is full, and reports that."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import grpc
import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from pymongo.database import Database
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server import limits
from server.accounts.credentials import generate_collector_key
from server.users.ids import alias_digest, profile_id
from tests.support.applications import register
from tests.support.stack import Api, Stack

pytestmark = pytest.mark.long

_START = datetime(2026, 1, 1, tzinfo=UTC)
_METADATA_BYTES = 1_000_000
_MAX_RESPONSE_BYTES = 32 * 1024 * 1024

# Each fills a profile of 1 MiB.
_KINDS: dict[str, Any] = {
    "objects of nulls": {"a": [{"b": None, "c": None} for _ in range(_METADATA_BYTES // 20)]},
    "control characters": {"a": "\x01" * _METADATA_BYTES},
    "numbers": {"a": [number % 10 for number in range(_METADATA_BYTES // 14)]},
    "nulls": {"a": [None] * (_METADATA_BYTES // 9)},
    "keys": {f"k{number}": None for number in range(_METADATA_BYTES // 9)},
}
_USERS = 35


@pytest.fixture(scope="module")
def dense(stack: Stack, database: Database[dict[str, Any]]) -> Iterator[Api]:
    """An application with 35 such users, of one company, who share a token."""
    application = register(database, generate_collector_key())
    kinds = [*_KINDS.values()]
    for number in range(_USERS):
        metadata = kinds[number % len(kinds)]
        document = {
            "_id": profile_id(application.application_id, f"u{number}"),
            "application_id": application.application_id,
            "user_id": f"u{number}",
            "company_id": "c",
            "created_time": _START + timedelta(seconds=number),
            "modified_time": _START,
            "modified_nanos": 0,
            "aliases": [alias_digest(application.application_id, token) for token in ("shared", f"t{number}")],
            "metadata": metadata,
        }
        assert 0.6 * limits.PROFILE_BYTES < len(bson.encode(document)) < limits.PROFILE_BYTES
        database.profiles.insert_one(document, bypass_document_validation=True)
    api = Api(stack.http, application)
    with api.client:
        yield api
    database.profiles.delete_many({"application_id": application.application_id})


_USER_IDS = [f"u{number}" for number in range(_USERS)]


def _metadata_of(user_id: str) -> Any:
    kinds = [*_KINDS.values()]
    return kinds[int(user_id[1:]) % len(kinds)]


class _GrpcClient:
    """A gRPC client that requests metadata as Structs, unlike the gateway."""

    def __init__(self, target: str, api: Api) -> None:
        options = [("grpc.max_receive_message_length", _MAX_RESPONSE_BYTES)]
        self._channel = grpc.insecure_channel(target, options=options)
        self._stub: Any = UserServiceStub(self._channel)
        self._metadata = (("authorization", api.reader["Authorization"]),)

    def __enter__(self) -> "_GrpcClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(self, method: str, request: Any) -> Any:
        return getattr(self._stub, method)(request, metadata=self._metadata, timeout=30)


def _get(api: Api, path: str, **asked: Any) -> Any:
    return _answered(api.client.get(path, params=asked, headers=api.reader))


def _post(api: Api, path: str, body: Any) -> Any:
    return _answered(api.client.post(path, json=body, headers=api.reader))


def _answered(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text[:1000]
    assert len(answer.content) < _MAX_RESPONSE_BYTES
    return orjson.loads(answer.content)


def test_a_list_returns_each_user_once_over_http(dense: Api) -> None:
    seen: list[str] = []
    token = ""
    while not seen or token:
        page = _get(dense, "/v1/users", page_size=1000, page_token=token)
        assert page["users"]
        for user in page["users"]:
            assert user["metadata"] == _metadata_of(user["user_id"])
            seen.append(user["user_id"])
        token = page["next_page_token"]
    assert seen == _USER_IDS


def test_a_list_returns_each_user_once_over_grpc(dense: Api, stack: Stack) -> None:
    seen: list[str] = []
    token = ""
    with _GrpcClient(stack.grpc, dense) as client:
        while not seen or token:
            page = client.call("ListUsers", pb.ListUsersRequest(page_size=1000, page_token=token))
            assert page.users
            seen += [user.user_id for user in page.users]
            token = page.next_page_token
        whole = client.call("GetUser", pb.GetUserRequest(user_id="u2")).user
    assert seen == _USER_IDS
    assert MessageToDict(whole.metadata) == _KINDS["numbers"]
    assert not whole.HasField("metadata_json")


@pytest.mark.parametrize("asked", [{"company_id": "c"}, {"session_token": "shared"}])
def test_the_pages_of_a_look_up_return_each_user_once(dense: Api, stack: Stack, asked: dict[str, Any]) -> None:
    seen, over_grpc, pages, token = list[str](), list[str](), 0, ""
    while not pages or token:
        page = _post(dense, "/v1/users:lookup", asked | {"page_size": 1000, "page_token": token})
        assert page["users"]
        seen += [user["user_id"] for user in page["users"]]
        pages, token = pages + 1, page["next_page_token"]
    assert pages > 1
    assert sorted(seen) == sorted(_USER_IDS)
    with _GrpcClient(stack.grpc, dense) as client:
        while not over_grpc or token:
            request = pb.LookupUsersRequest(**asked, page_size=1000, page_token=token)
            answer = client.call("LookupUsers", request)
            assert answer.users
            over_grpc += [user.user_id for user in answer.users]
            token = answer.next_page_token
    assert over_grpc == seen


def test_a_look_up_by_an_unshared_token_returns_one_user(dense: Api) -> None:
    for user_id in _USER_IDS[:5]:
        found = _post(dense, "/v1/users:lookup", {"session_token": user_id.replace("u", "t")})
        assert [user["user_id"] for user in found["users"]] == [user_id]
        assert found["users"][0]["metadata"] == _metadata_of(user_id)
        assert found["next_page_token"] == ""


@pytest.mark.parametrize("verb", ["batchExport", "batchGet"])
def test_batch_reads_continue_where_they_ended_over_http(dense: Api, verb: str) -> None:
    missing, seen = [*_USER_IDS, "nobody"], list[str]()
    while missing:
        results = _post(dense, f"/v1/users:{verb}", {"user_ids": missing})["results"]
        assert len(results) == len(missing)
        left = []
        for user_id, result in zip(missing, results, strict=True):
            if "response" in result:
                user = result["response"].get("user_export", result["response"])["user"]
                assert user["metadata"] == _metadata_of(user_id)
                seen.append(user["user_id"])
            elif result["error"]["details"][0]["reason"] == "RESPONSE_TOO_LARGE":
                left.append(user_id)
            else:
                assert (user_id, result["error"]["details"][0]["reason"]) == ("nobody", "USER_NOT_FOUND")
        assert len(left) < len(missing)
        missing = left
    assert seen == _USER_IDS


def test_batch_reads_continue_where_they_ended_over_grpc(dense: Api, stack: Stack) -> None:
    for method, request in (
        ("BatchExportUsers", pb.BatchExportUsersRequest),
        ("BatchGetUsers", pb.BatchGetUsersRequest),
    ):
        missing, seen = _USER_IDS, list[str]()
        with _GrpcClient(stack.grpc, dense) as client:
            while missing:
                results = client.call(method, request(user_ids=missing)).results
                read = [result.response for result in results if result.HasField("response")]
                exported = method == "BatchExportUsers"
                seen += [(each.user_export.user if exported else each.user).user_id for each in read]
                missing = [user_id for user_id in _USER_IDS if user_id not in seen]
        assert seen == _USER_IDS


def test_each_user_is_read_exported_masked_and_counted(dense: Api) -> None:
    for user_id in _USER_IDS[:5]:
        assert _get(dense, f"/v1/users/{user_id}")["metadata"] == _metadata_of(user_id)
        assert _get(dense, f"/v1/users/{user_id}:export")["user"]["metadata"] == _metadata_of(user_id)
    page = _get(dense, "/v1/users", page_size=1000, fields="metadata.k1,metadata.k3")
    assert [user["user_id"] for user in page["users"]] == _USER_IDS
    assert page["users"][4]["metadata"] == {"k1": None, "k3": None}
    assert page["users"][0]["metadata"] == {}
    assert _get(dense, "/v1/users:count", filter="metadata.a:*") == {"count": _USERS * 4 // 5}
