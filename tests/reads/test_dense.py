"""Profiles as dense as they can be, even of before there were limits: over both faces, every read of them succeeds,
ends where its answer is full, and says so."""

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
from server.users.derive import alias_digest
from server.users.update import profile_id
from tests.support.applications import register
from tests.support.stack import Api, Stack

_START = datetime(2026, 1, 1, tzinfo=UTC)
_ROOM = 1_000_000
_MOST_BYTES = 32 * 1024 * 1024

# Each fills a profile of 1 MiB.
_KINDS: dict[str, Any] = {
    "objects of nulls": {"a": [{"b": None, "c": None} for _ in range(_ROOM // 20)]},
    "control characters": {"a": "\x01" * _ROOM},
    "numbers": {"a": [number % 10 for number in range(_ROOM // 14)]},
    "nulls": {"a": [None] * (_ROOM // 9)},
    "keys": {f"k{number}": None for number in range(_ROOM // 9)},
}
_USERS = 40


@pytest.fixture(scope="module")
def stack(unmeasured_stack: Stack) -> Stack:
    return unmeasured_stack


@pytest.fixture(scope="module")
def dense(stack: Stack, database: Database[dict[str, Any]]) -> Iterator[Api]:
    """An application of 40 such users, of one company, who share a token."""
    application = register(database, "the dense one's")
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


_EVERYBODY = [f"u{number}" for number in range(_USERS)]


def _metadata_of(user_id: str) -> Any:
    kinds = [*_KINDS.values()]
    return kinds[int(user_id[1:]) % len(kinds)]


class _Grpc:
    """The internal face, without what the gateway asks for."""

    def __init__(self, target: str, api: Api) -> None:
        most = [("grpc.max_receive_message_length", _MOST_BYTES)]
        self._channel = grpc.insecure_channel(target, options=most)
        self._stub: Any = UserServiceStub(self._channel)
        self._metadata = (("authorization", api.reader["Authorization"]),)

    def __enter__(self) -> "_Grpc":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def ask(self, method: str, request: Any) -> Any:
        return getattr(self._stub, method)(request, metadata=self._metadata, timeout=30)


def _get(api: Api, path: str, **asked: Any) -> Any:
    return _answered(api.client.get(path, params=asked, headers=api.reader))


def _post(api: Api, path: str, body: Any) -> Any:
    return _answered(api.client.post(path, json=body, headers=api.reader))


def _answered(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text[:1000]
    assert len(answer.content) < _MOST_BYTES
    return orjson.loads(answer.content)


def test_a_list_answers_each_of_them_once_over_http(dense: Api) -> None:
    seen: list[str] = []
    token = ""
    while not seen or token:
        page = _get(dense, "/v1/users", page_size=1000, page_token=token)
        assert page["users"]
        for user in page["users"]:
            assert user["metadata"] == _metadata_of(user["user_id"])
            seen.append(user["user_id"])
        token = page["next_page_token"]
    assert seen == _EVERYBODY


def test_a_list_answers_each_of_them_once_over_grpc(dense: Api, stack: Stack) -> None:
    seen: list[str] = []
    token = ""
    with _Grpc(stack.grpc, dense) as internal:
        while not seen or token:
            page = internal.ask("ListUsers", pb.ListUsersRequest(page_size=1000, page_token=token))
            assert page.users
            seen += [user.user_id for user in page.users]
            token = page.next_page_token
        whole = internal.ask("GetUser", pb.GetUserRequest(user_id="u2")).user
    assert seen == _EVERYBODY
    assert MessageToDict(whole.metadata) == _KINDS["numbers"]
    assert not whole.HasField("metadata_json")


@pytest.mark.parametrize("asked", [{"company_id": "c"}, {"session_token": "shared"}])
def test_the_pages_of_a_look_up_answer_each_of_them_once(dense: Api, stack: Stack, asked: dict[str, str]) -> None:
    seen, internally, pages, token = list[str](), list[str](), 0, ""
    while not pages or token:
        page = _post(dense, "/v1/users:lookup", asked | {"page_size": 1000, "page_token": token})
        assert page["users"]
        seen += [user["user_id"] for user in page["users"]]
        pages, token = pages + 1, page["next_page_token"]
    assert pages > 1
    assert sorted(seen) == sorted(_EVERYBODY)
    with _Grpc(stack.grpc, dense) as internal:
        while not internally or token:
            request = pb.LookupUsersRequest(**asked, page_size=1000, page_token=token)
            answer = internal.ask("LookupUsers", request)
            assert answer.users
            internally += [user.user_id for user in answer.users]
            token = answer.next_page_token
    assert internally == seen


def test_the_token_of_one_finds_it(dense: Api) -> None:
    for user_id in _EVERYBODY[:5]:
        found = _post(dense, "/v1/users:lookup", {"session_token": user_id.replace("u", "t")})
        assert [user["user_id"] for user in found["users"]] == [user_id]
        assert found["users"][0]["metadata"] == _metadata_of(user_id)
        assert found["next_page_token"] == ""


@pytest.mark.parametrize("verb", ["batchExport", "batchGet"])
def test_batches_of_reads_are_asked_for_again_from_where_they_ended_over_http(dense: Api, verb: str) -> None:
    missing, seen = [*_EVERYBODY, "nobody"], list[str]()
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
    assert seen == _EVERYBODY


def test_batches_of_reads_are_asked_for_again_from_where_they_ended_over_grpc(dense: Api, stack: Stack) -> None:
    for method, request in (
        ("BatchExportUsers", pb.BatchExportUsersRequest),
        ("BatchGetUsers", pb.BatchGetUsersRequest),
    ):
        missing, seen = _EVERYBODY, list[str]()
        with _Grpc(stack.grpc, dense) as internal:
            while missing:
                results = internal.ask(method, request(user_ids=missing)).results
                read = [result.response for result in results if result.HasField("response")]
                exported = method == "BatchExportUsers"
                seen += [(each.user_export.user if exported else each.user).user_id for each in read]
                missing = [user_id for user_id in _EVERYBODY if user_id not in seen]
        assert seen == _EVERYBODY


def test_each_is_read_exported_masked_and_counted(dense: Api) -> None:
    for user_id in _EVERYBODY[:5]:
        assert _get(dense, f"/v1/users/{user_id}")["metadata"] == _metadata_of(user_id)
        assert _get(dense, f"/v1/users/{user_id}:export")["user"]["metadata"] == _metadata_of(user_id)
    page = _get(dense, "/v1/users", page_size=1000, fields="metadata.k1,metadata.k3")
    assert [user["user_id"] for user in page["users"]] == _EVERYBODY
    assert page["users"][4]["metadata"] == {"k1": None, "k3": None}
    assert page["users"][0]["metadata"] == {}
    assert _get(dense, "/v1/users:count", filter="metadata.a:*") == {"count": 32}
